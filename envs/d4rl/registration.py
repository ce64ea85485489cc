"""Ids of the benchmark's tasks: simulators of Gymnasium and Gymnasium-Robotics, horizons of the benchmark."""

from __future__ import annotations

from typing import Any

from gymnasium.envs.registration import WrapperSpec, register

SUCCESS = WrapperSpec("SuccessInfo", "ibc_envs.d4rl.adapter:SuccessInfo", {})
FIXES = WrapperSpec("KitchenFixes", "ibc_envs.d4rl.kitchen:KitchenFixes", {})
LEGACY = WrapperSpec("LegacyKitchen", "ibc_envs.d4rl.kitchen:LegacyKitchen", {})

#: The tasks of kitchen-complete and -partial, and of kitchen-mixed (D4RL, ``kitchen/kitchen_envs``).
KITCHEN = {
    "": ["microwave", "kettle", "light switch", "slide cabinet"],
    "Mixed": ["microwave", "kettle", "bottom burner", "light switch"],
}
#: The original data was recorded with a tenth of the noise that the robot's description states.
LEGACY_NOISE = {"robot_noise_ratio": 0.1, "object_noise_ratio": 0.1}

_U = [[1, 1, 1, 1, 1], [1, 0, 0, 0, 1], [1, 1, 1, 0, 1], [1, 0, 0, 0, 1], [1, 1, 1, 1, 1]]
_OPEN = [[1] * 7, *([1, 0, 0, 0, 0, 0, 1] for _ in range(3)), [1] * 7]
_MEDIUM = [
    [1, 1, 1, 1, 1, 1, 1, 1],
    [1, 0, 0, 1, 1, 0, 0, 1],
    [1, 0, 0, 1, 0, 0, 0, 1],
    [1, 1, 0, 0, 0, 1, 1, 1],
    [1, 0, 0, 1, 0, 0, 0, 1],
    [1, 0, 1, 0, 0, 1, 0, 1],
    [1, 0, 0, 0, 1, 0, 0, 1],
    [1, 1, 1, 1, 1, 1, 1, 1],
]
_LARGE = [
    [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1],
    [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1],
    [1, 0, 1, 1, 0, 1, 0, 1, 0, 1, 0, 1],
    [1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1],
    [1, 0, 1, 1, 1, 1, 0, 1, 1, 1, 0, 1],
    [1, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 1],
    [1, 1, 0, 1, 0, 1, 0, 1, 0, 1, 1, 1],
    [1, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1],
    [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1],
]
#: A hall without inner walls, and the same with a pocket that its demonstrations do not know: a dead end across the
#: straight way from r to g, which is left against the direction of the goal.
_HALL: list[list[int | str]] = [[1] * 9, *([1, *[0] * 7, 1] for _ in range(5)), [1] * 9]
_POCKET: list[list[int | str]] = [
    [1, 1, 1, 1, 1, 1, 1, 1, 1],
    [1, 0, 0, 0, 0, 0, 0, 0, 1],
    [1, 0, 0, 1, 1, 1, 0, 0, 1],
    [1, "r", 0, 0, 0, 1, 0, "g", 1],
    [1, 0, 0, 1, 1, 1, 0, 0, 1],
    [1, 0, 0, 0, 0, 0, 0, 0, 1],
    [1, 1, 1, 1, 1, 1, 1, 1, 1],
]
#: Steps in an episode of either, which reaching the goal ends.
HALL_STEPS = 600
#: Maze, horizon of the point and horizon of the ant (D4RL, ``pointmaze`` and ``locomotion``).
MAZES = {
    "Open": (_OPEN, 150, None),
    "UMaze": (_U, 300, 700),
    "Medium": (_MEDIUM, 600, 1000),
    "Large": (_LARGE, 800, 1000),
}
#: Start and goal of the ant in evaluation, as (row, column).
ANT_CELLS = {"UMaze": ((1, 1), (3, 1)), "Medium": ((1, 1), (6, 6)), "Large": ((1, 1), (7, 10))}

#: Returns of the benchmark's experts (D4RL, ``infos.py``).
LOCOMOTION = {"HalfCheetah": 12135.0, "Hopper": 3234.3, "Walker2d": 4592.3, "Ant": 3879.7}


def register_all() -> None:
    """Make the ids known to Gymnasium."""
    pen = "gymnasium_robotics.envs.adroit_hand.adroit_pen:AdroitHandPenEnv"
    _register("AdroitHandPen-v1", pen, 100, (SUCCESS,), {})
    for name, tasks in KITCHEN.items():
        kitchen = "gymnasium_robotics.envs.franka_kitchen:KitchenEnv"
        kwargs: dict[str, Any] = {"tasks_to_complete": tasks}
        _register(f"FrankaKitchen{name}-v1", kitchen, 280, (FIXES,), kwargs)
        legacy = {**kwargs, **LEGACY_NOISE}
        _register(f"FrankaKitchen{name}Legacy-v0", kitchen, 280, (FIXES, LEGACY), legacy)
    for name, (maze, point_steps, ant_steps) in MAZES.items():
        point = "gymnasium_robotics.envs.maze.point_maze:PointMazeEnv"
        for suffix, kind in (("", "sparse"), ("Dense", "dense")):
            kwargs = {"maze_map": maze, "reward_type": kind}
            _register(f"PointMaze_{name}{suffix}-v3", point, point_steps, (SUCCESS,), kwargs)
        if ant_steps is not None:
            ant = "gymnasium_robotics.envs.maze.ant_maze_v4:AntMazeEnv"
            kwargs = {"maze_map": _marked(name), "continuing_task": False}
            _register(f"AntMaze_{name}-v4", ant, ant_steps, (SUCCESS,), kwargs)
    for name, hall in (("Hall", _HALL), ("Pocket", _POCKET)):
        point = "gymnasium_robotics.envs.maze.point_maze:PointMazeEnv"
        kwargs = {"maze_map": hall, "continuing_task": False}
        _register(f"PointMaze_{name}-v3", point, HALL_STEPS, (SUCCESS,), kwargs)
    for name, expert in LOCOMOTION.items():
        module = {"HalfCheetah": "half_cheetah"}.get(name, name.lower())
        entry = f"gymnasium.envs.mujoco.{module}_v4:{name}Env"
        wrapper = WrapperSpec(SUCCESS.name, SUCCESS.entry_point, {"success_return": expert})
        _register(f"{name}-v4", entry, 1000, (wrapper,), {})


def _register(
    name: str,
    entry_point: str,
    horizon: int,
    wrappers: tuple[WrapperSpec, ...],
    kwargs: dict[str, Any],
) -> None:
    register(
        id=f"ibc/{name}",
        entry_point=entry_point,
        max_episode_steps=horizon,
        additional_wrappers=wrappers,
        kwargs=kwargs,
    )


def _marked(name: str) -> list[list[int | str]]:
    """The maze with the start and the goal that ants are evaluated with."""
    maze: list[list[int | str]] = [list(row) for row in MAZES[name][0]]
    for (i, j), mark in zip(ANT_CELLS[name], ("r", "g"), strict=True):
        maze[i][j] = mark
    return maze
