"""A point mass in N dimensions that visits two goals in order: ``Particle-v0``."""

from ibc_envs.particle.env import ParticleEnv
from ibc_envs.particle.expert import ParticleExpert

__all__ = [
    "ParticleEnv",
    "ParticleExpert",
]
