"""Observations of the original benchmark against those of today's simulators."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ibc.data.episode import Episode, EpisodeObs
from ibc.errors import UserError
from ibc.spec import ObsField

#: Where the kitchen's elements are among its 30 positions (9 of the robot, 21 of objects).
KITCHEN_ELEMENT = {
    "bottom burner": (11, 13),
    "top burner": (15, 17),
    "light switch": (17, 19),
    "slide cabinet": (19, 20),
    "hinge cabinet": (20, 22),
    "microwave": (22, 23),
    "kettle": (23, 30),
}
POSITIONS = 30

#: Data's and environment's layout, by the length of one observation each, and why the one cannot be the other.
REFUSED = {
    (
        ("state", 60),
        ("observation", 59),
    ): "the data has the original kitchen's 60 numbers (positions and goals), "
    "{env} today's 59 with velocities, which cannot be made up; use task=kitchen-... or the environment "
    "ibc/FrankaKitchenLegacy-v0",
    (
        ("state", 4),
        ("observation", 4),
    ): "the data is of the original maze2d, whose axes, origin and goals are others "
    "than those of {env}; use Minari's D4RL/pointmaze/... or collect_demos.py env=point_maze",
    (
        ("state", 29),
        ("observation", 27),
    ): "the data is of the original antmaze, which is a mirror image of {env}; use "
    "Minari's D4RL/antmaze/...",
}


def is_made(names: Sequence[str] | None, fields: Mapping[str, ObsField]) -> bool:
    """Whether one of the observations may have to be made of others by :func:`fit_layout`."""
    field = fields.get("state")
    return field is not None and field.shape == (60,) and "state" in (names or ())


def fit_layout(
    episodes: Sequence[Episode], fields: Mapping[str, ObsField], env_id: str
) -> list[Episode]:
    """The episodes with observations as the environment gives them, where that can be had.

    Today's kitchen is turned into the original's (velocities left out, goals appended), the original ant into today's
    (contact forces left out, which its simulator reported as zero). All else is returned as it is.

    Raises:
        UserError: the layout is known, and cannot be turned into the environment's.
    """
    sample = episodes[0].obs
    have = {(name, array.shape[1]) for name, array in sample.items() if array.ndim == 2}
    want = {(name, field.shape[0]) for name, field in fields.items() if len(field.shape) == 1}
    for (data, env), why in REFUSED.items():
        if data in have and env in want:
            raise UserError(why.format(env=env_id))
    if ("observation", 59) in have and ("state", 60) in want:
        return _convert(episodes, lambda obs: {"state": _legacy_kitchen(obs)})
    if ("state", 111) in have and ("state", 27) in want:
        return _convert(
            episodes, lambda obs: {**obs, "state": np.asarray(obs["state"])[:, :27].copy()}
        )
    return list(episodes)


def _convert(
    episodes: Sequence[Episode], change: Callable[[EpisodeObs], EpisodeObs]
) -> list[Episode]:
    return [replace(episode, obs=change(episode.obs)) for episode in episodes]


def _legacy_kitchen(obs: EpisodeObs) -> NDArray[np.float32]:
    """(T + 1, 60): positions of robot and objects, and the goals of the tasks asked for, zero elsewhere."""
    now = np.asarray(obs["observation"])
    goal = np.zeros((len(now), POSITIONS), dtype=np.float32)
    for task, (start, stop) in KITCHEN_ELEMENT.items():
        if f"desired_goal/{task}" in obs:
            goal[:, start:stop] = np.asarray(obs[f"desired_goal/{task}"])
    return np.concatenate([now[:, :9], now[:, 18:39], goal], axis=1)
