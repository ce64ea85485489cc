"""Environments of single studies; ``env.id=benchmarks.envs:ParticleCorridor-v0`` imports and registers them."""

from gymnasium.envs.registration import register

register(
    id="ParticleObstacles-v0", entry_point="benchmarks.envs.particle_obstacles:ParticleObstaclesEnv"
)
register(
    id="ParticleCorridor-v0", entry_point="benchmarks.envs.particle_corridor:ParticleCorridorEnv"
)
register(
    id="BlockPushZone-v0",
    entry_point="benchmarks.envs.block_push_zone:BlockPushZoneEnv",
    max_episode_steps=150,  # a detour is longer
)
register(id="Shifted-v0", entry_point="benchmarks.envs.shifted:Shifted")
