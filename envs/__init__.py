"""Environments, registered with Gymnasium on import."""

from gymnasium.envs.registration import WrapperSpec, register

from envs.d4rl.registration import register_all

register(id="Particle-v0", entry_point="envs.particle.env:ParticleEnv")
register(id="ParticleObstacles-v0", entry_point="envs.particle.obstacles:ParticleObstaclesEnv")
register(id="ParticleCorridor-v0", entry_point="envs.particle.corridor:ParticleCorridorEnv")

# Control steps an episode lasts at most, as published; a slot needs more of them than were given (50).
for _task, _horizon in {
    "BlockReach": 50,
    "BlockPush": 100,
    "BlockPushDiscontinuous": 200,
    "BlockPushMultimodal": 200,
    "BlockInsert": 100,
}.items():
    register(
        id=f"{_task}-v0",
        entry_point=f"envs.block_push.tasks:{_task}Env",
        max_episode_steps=_horizon,
    )

register(
    id="BlockPushZone-v0",
    entry_point="envs.block_push.zone:BlockPushZoneEnv",
    max_episode_steps=150,  # a way round is longer
)

register(
    id="PlanarSweep-v0",
    entry_point="envs.planar_sweep.env:PlanarSweepEnv",
    max_episode_steps=250,  # not published; see there
)

register(
    id="BimanualSweep-v0",
    entry_point="envs.bimanual_sweep.env:BimanualSweepEnv",
    max_episode_steps=700,  # as published
)

# Where the observation of an Adroit task holds the palm's position and that of the thing it must reach, or their
# difference; see envs.adroit.reward.
_ADROIT = {
    "Door": {"difference": 35},
    "Hammer": {"palm": 33, "target": 36},
    "Relocate": {"difference": 30},
}
for _task, _where in _ADROIT.items():
    register(
        id=f"envs/AdroitHand{_task}-v1",
        entry_point=f"gymnasium_robotics.envs.adroit_hand.adroit_{_task.lower()}:AdroitHand{_task}Env",
        max_episode_steps=200,
        additional_wrappers=(
            WrapperSpec("CorrectedReward", "envs.adroit.reward:CorrectedReward", _where),
        ),
    )

register_all()
