"""Tasks of robot manipulation as Gymnasium environments; the folder ``envs/`` is installed as ``ibc_envs``.

``gymnasium.make("Particle-v0")`` finds them without an import (``gymnasium_plugin``). An environment documents its
observation, its action and when it is solved; an expert is a program that collects demonstrations in it. Nothing is
imported here before an environment is made, since this package is imported whenever Python starts.
"""

#: Control steps an episode lasts at most, as published; a slot needs more of them than the published 50.
_BLOCK_TASKS = {
    "BlockReach": 50,
    "BlockPush": 100,
    "BlockPushDiscontinuous": 200,
    "BlockPushMultimodal": 200,
    "BlockInsert": 100,
}

#: Control steps of a sorting episode at most: the expert takes 184 on average.
_SORT_STEPS = 400

#: Where the observation of an Adroit task holds the palm's position and that of its target, or their difference; see
#: ``ibc_envs.adroit.reward``.
_ADROIT = {
    "Door": {"difference": 35},
    "Hammer": {"palm": 33, "target": 36},
    "Relocate": {"difference": 30},
}


def register_envs() -> None:
    """Register every environment of this package with Gymnasium; calling it again changes nothing."""
    from gymnasium.envs.registration import WrapperSpec, register, registry
    from ibc_envs.d4rl.registration import register_all

    if "Particle-v0" in registry:
        return
    register(id="Particle-v0", entry_point="ibc_envs.particle.env:ParticleEnv")
    for task, horizon in _BLOCK_TASKS.items():
        register(
            id=f"{task}-v0",
            entry_point=f"ibc_envs.block_push.tasks:{task}Env",
            max_episode_steps=horizon,
        )
    register(
        id="BlockSort-v0",
        entry_point="ibc_envs.block_push.sort:BlockSortEnv",
        max_episode_steps=_SORT_STEPS,
    )
    register(
        id="PlanarSweep-v0",
        entry_point="ibc_envs.planar_sweep.env:PlanarSweepEnv",
        max_episode_steps=250,  # not published; see there
    )
    register(id="PushT-v0", entry_point="ibc_envs.push_t.env:PushTEnv", max_episode_steps=300)
    register(
        id="BimanualSweep-v0",
        entry_point="ibc_envs.bimanual_sweep.env:BimanualSweepEnv",
        max_episode_steps=700,  # as published
    )
    for task, indices in _ADROIT.items():
        register(
            id=f"ibc/AdroitHand{task}-v1",
            entry_point=f"gymnasium_robotics.envs.adroit_hand.adroit_{task.lower()}:AdroitHand{task}Env",
            max_episode_steps=200,
            additional_wrappers=(
                WrapperSpec("CorrectedReward", "ibc_envs.adroit.reward:CorrectedReward", indices),
            ),
        )
    register_all()
