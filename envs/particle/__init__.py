"""The N-dimensional particle integrator."""

from envs.particle.env import ParticleEnv
from envs.particle.expert import ParticleExpert

__all__ = ["ParticleEnv", "ParticleExpert"]
