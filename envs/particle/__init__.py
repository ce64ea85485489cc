"""The N-dimensional particle integrator."""

from ibc_envs.particle.env import ParticleEnv
from ibc_envs.particle.expert import ParticleExpert

__all__ = [
    "ParticleEnv",
    "ParticleExpert",
]
