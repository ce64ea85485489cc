"""What a task of D4RL is called, which environment it is today, where its data comes from and how it is scored.

Horizons, reference scores and addresses are those of the package d4rl 1.1 (``infos.py`` and the registrations), the
names of data sets on Minari those of its documentation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ibc.errors import UserError

SERVER = "http://rail.eecs.berkeley.edu/datasets/offline_rl"


@dataclass(frozen=True, kw_only=True)
class Task:
    """One task of the benchmark.

    Attributes:
        name: without version, ``pen-human``.
        asked: the name it was asked for by.
        env_id: the environment, registered by ``envs``.
        horizon: steps of an episode in the benchmark.
        reference: returns of a random policy and of the expert, where they hold for this environment.
        success_when: see ``EnvConfig``.
        files: names the original file may have, the best first.
        url: where that file is.
        minari: id of the data set there, None where it does not have it.
    """

    name: str
    asked: str = ""
    env_id: str
    horizon: int
    reference: tuple[float, float] | None
    success_when: str = "any"
    files: tuple[str, ...]
    url: str
    minari: str | None = None

    def normalized_score(self, episode_return: float) -> float | None:
        """0 for a random policy, 100 for the expert; None where there is no reference."""
        if self.reference is None:
            return None
        low, high = self.reference
        return 100 * (episode_return - low) / (high - low)


#: Horizon, horizon of the ``longhorizon`` variant, random and expert return.
ADROIT = {
    "pen": (100, 200, (96.262799, 3076.8331017826877)),
    "hammer": (200, 600, (-274.856578, 12794.134825156867)),
    "door": (200, 300, (-56.512833, 2880.5693087298737)),
    "relocate": (200, 500, (-6.425911, 4233.877797728884)),
}
ADROIT_V0_FILE = {
    "human": "{}-v0_demos_clipped.hdf5",
    "cloned": "{}-demos-v0-bc-combined.hdf5",
    "expert": "{}-v0_expert_clipped.hdf5",
}
KITCHEN_FILE = {
    "complete": "mini_kitchen_microwave_kettle_light_slider-v0.hdf5",
    "partial": "kitchen_microwave_kettle_light_slider-v0.hdf5",
    "mixed": "kitchen_microwave_kettle_bottomburner_light-v0.hdf5",
}
POINT_HORIZON = {"open": 150, "umaze": 300, "medium": 600, "large": 800}
#: Horizon, and the maze's name in the file's name.
ANT = {"umaze": (700, "u-maze"), "medium": (1000, "big-maze"), "large": (1000, "hardest-maze")}
MAZE_ID = {"open": "Open", "umaze": "UMaze", "medium": "Medium", "large": "Large"}
#: Environment, random and expert return.
LOCOMOTION = {
    "halfcheetah": ("HalfCheetah", (-280.178953, 12135.0)),
    "hopper": ("Hopper", (-20.272305, 3234.3)),
    "walker2d": ("Walker2d", (1.629008, 4592.3)),
    "ant": ("Ant", (-325.6, 3879.7)),
}

#: Old names and Minari's; ``v`` is the version.
_ADROIT = r"(?P<robot>pen|hammer|door|relocate)"
PATTERNS = {
    "adroit": rf"{_ADROIT}-(?P<data>human|cloned|expert)(?P<long>-longhorizon)?(-v(?P<v>[01]))?",
    "adroit_minari": rf"D4RL/{_ADROIT}/(?P<data>human|cloned|expert)-v(?P<v>\d+)",
    "kitchen": r"kitchen-(?P<data>complete|partial|mixed)(-v(?P<v>0))?",
    "kitchen_minari": r"D4RL/kitchen/(?P<data>complete|partial|mixed)-v(?P<v>\d+)",
    "point": r"maze2d-(?P<maze>open|umaze|medium|large)(?P<dense>-dense)?(-v(?P<v>[01]))?",
    "point_minari": r"D4RL/pointmaze/(?P<maze>open|umaze|medium|large)(?P<dense>-dense)?-v(?P<v>\d+)",
    "ant": r"antmaze-(?P<maze>umaze(?=$|-v|-d)|medium(?=-[dp])|large(?=-[dp]))(?P<data>-diverse|-play)?(-v(?P<v>[012]))?",
    "ant_minari": r"D4RL/antmaze/(?P<maze>umaze(?=-v|-d)|medium(?=-[dp])|large(?=-[dp]))(?P<data>-diverse|-play)?-v(?P<v>\d+)",
    "locomotion": r"(?P<robot>halfcheetah|hopper|walker2d|ant)"
    r"-(?P<data>random|medium|expert|medium-replay|full-replay|medium-expert)(-v(?P<v>[012]))?",
}
EXAMPLES = "pen-human, door-expert-v1, kitchen-complete-v0, maze2d-umaze-v1, antmaze-umaze-v2, hopper-medium-v2, D4RL/pen/human-v2"


def find_task(name: str) -> Task:
    """The task of an old D4RL name, with or without version, or of a Minari id.

    Raises:
        UserError: there is no such task.
    """
    for kind, pattern in PATTERNS.items():
        match = re.fullmatch(pattern, name)
        if match:
            family, _, minari = kind.partition("_")
            parts = match.groupdict(default="")
            return replace(_FAMILIES[family](parts, name if minari else None), asked=name)
    what = f"there is no task '{name}'" if name else "please give task=..."
    raise UserError(f"{what}; tasks are called like {EXAMPLES}")


def _adroit(parts: Mapping[str, str], minari: str | None) -> Task:
    robot, data, long = parts["robot"], parts["data"], parts.get("long", "")
    horizon, long_horizon, reference = ADROIT[robot]
    old = ADROIT_V0_FILE[data].format(robot)
    names = {"1": f"{robot}-{data}-v1.hdf5", "0": old}
    version = parts["v"] if minari is None else ""
    return Task(
        name=f"{robot}-{data}{long}",
        env_id=f"ibc/AdroitHand{robot.title()}-v1",
        horizon=long_horizon if long else horizon,
        reference=reference,
        files=(names[version], f"{robot}-{data}-v{version}.hdf5")
        if version
        else (*names.values(), f"{robot}-{data}-v0.hdf5"),
        url=f"{SERVER}/hand_dapg/{old}"
        if version == "0"
        else f"{SERVER}/hand_dapg_v1/{names['1']}",
        minari=minari or f"D4RL/{robot}/{data}-v2",
    )


def _kitchen(parts: Mapping[str, str], minari: str | None) -> Task:
    data = parts["data"]
    mixed = "Mixed" if data == "mixed" else ""
    return Task(
        name=f"kitchen-{data}",
        # Minari's data has today's observation, the original one has the original's.
        env_id=f"ibc/FrankaKitchen{mixed}-v1" if minari else f"ibc/FrankaKitchen{mixed}Legacy-v0",
        horizon=280,
        reference=(0.0, 4.0),
        files=() if minari else (KITCHEN_FILE[data], f"kitchen-{data}-v0.hdf5"),
        url=f"{SERVER}/kitchen/{KITCHEN_FILE[data]}",
        minari=minari or f"D4RL/kitchen/{data}-v2",
    )


def _point(parts: Mapping[str, str], minari: str | None) -> Task:
    """No reference: the original has one goal for all episodes, today's environment another one for each."""
    maze, dense = parts["maze"], parts["dense"]
    kind = dense or "-sparse"
    version = "0" if maze == "open" else "1"
    if minari is None and parts["v"] not in ("", version):
        raise UserError(f"of maze2d-{maze} version {version} alone is read here, not {parts['v']}")
    file = f"maze2d-{maze}{kind}{'' if maze == 'open' else '-v1'}.hdf5"
    return Task(
        name=f"maze2d-{maze}{dense}",
        env_id=f"ibc/PointMaze_{MAZE_ID[maze]}{'Dense' if dense else ''}-v3",
        horizon=POINT_HORIZON[maze],
        reference=None,
        files=() if minari else (file,),
        url=f"{SERVER}/maze2d/{file}",
        minari=minari or f"D4RL/pointmaze/{maze}{dense}-v2",
    )


def _ant(parts: Mapping[str, str], minari: str | None) -> Task:
    maze, data = parts["maze"], parts["data"]
    horizon, word = ANT[maze]
    version = parts["v"] if minari is None else ""
    starts, goals = data != "", data == "-diverse"
    stem = f"Ant_maze_{word}_noisy_multistart_{starts}_multigoal_{goals}_sparse"
    file = f"{stem}.hdf5" if version == "0" else f"{stem}_fixed.hdf5"
    folder = "ant_maze_new" if version == "0" else "ant_maze_v2"
    return Task(
        name=f"antmaze-{maze}{data}",
        env_id=f"ibc/AntMaze_{MAZE_ID[maze]}-v4",
        horizon=horizon,
        reference=(0.0, 1.0),
        files=() if minari else (file,),
        url=f"{SERVER}/{folder}/{file}",
        minari=minari or f"D4RL/antmaze/{maze}{data}-v1",
    )


def _locomotion(parts: Mapping[str, str], minari: str | None) -> Task:
    robot, data, version = parts["robot"], parts["data"], parts["v"] or "2"
    env, reference = LOCOMOTION[robot]
    stem = f"{robot}_{data.replace('-', '_')}"
    file, folder = f"{stem}-v{version}.hdf5", f"gym_mujoco_v{version}"
    if version == "0":
        mixed = f"{robot.removesuffix('2d')}_mixed"
        file, folder = f"{mixed if data == 'medium-replay' else stem}.hdf5", "gym_mujoco"
    return Task(
        name=f"{robot}-{data}",
        env_id=f"ibc/{env}-v4",
        horizon=1000,
        reference=reference,
        success_when="last",
        files=(file, f"{robot}-{data}-v{version}.hdf5"),
        url=f"{SERVER}/{folder}/{file}",
    )


_FAMILIES = {
    "adroit": _adroit,
    "kitchen": _kitchen,
    "point": _point,
    "ant": _ant,
    "locomotion": _locomotion,
}
