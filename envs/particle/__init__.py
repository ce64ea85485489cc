"""The N-dimensional particle integrator, alone, among obstacles and in a corridor."""

from envs.particle.corridor import CorridorExpert, ParticleCorridorEnv
from envs.particle.env import ParticleEnv
from envs.particle.expert import ParticleExpert
from envs.particle.obstacles import ParticleObstaclesEnv

__all__ = [
    "CorridorExpert",
    "ParticleCorridorEnv",
    "ParticleEnv",
    "ParticleExpert",
    "ParticleObstaclesEnv",
]
