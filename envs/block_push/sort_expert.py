"""The scripted expert of the sorting task, a rule of the present observation alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from ibc_envs.block_push.expert import Array, _distance_to_line, pre_push_point
from ibc_envs.block_push.pushing import push
from numpy.typing import NDArray

#: 1 for blue blocks, whose place is at positive y, -1 for amber ones.
COLORS = np.array([1, 1, 1, 1, -1, -1, -1, -1])
#: A place begins this far from the middle of the table (m) and reaches to its rim.
BORDER = 0.22

#: How far behind the border of its place a block is pushed (m).
DEPTH = 0.03
#: A push starts this far behind the block. A block costs the way of the rod to there, this much of the way to go, and
#: this for each other block that is closer to the line of the push than CLEARANCE (m), or twice that of another color.
START_DISTANCE, TO_GO, CROSSED, CLEARANCE = 0.045, 0.3, 0.08, 0.045

#: The rod travels round blocks that are farther than this from the one to be pushed (m), and through those nearer.
CROWD = 0.09


def is_in_place(position: Array, color: float) -> bool:
    """Whether a block (2,) of a color is in its place."""
    return bool(color * position[1] >= BORDER)


class SortExpert:
    """Pushes the block that costs least into its place, until none is left.

    The cost contains the rod's way to behind the block, so it stays with the block that it has begun with.
    """

    def reset(self, env_index: int, seed: int) -> None:
        """A new episode begins; nothing is remembered."""

    def act(self, env_indices: list[int], obs: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
        """Changes of the set-point (E, 1, 2) for windows ``{name: (E, To, ...)}``."""
        out = np.empty((len(env_indices), 1, 2), np.float32)
        for row in range(len(env_indices)):
            blocks = obs["blocks"][row, -1].astype(np.float64)
            rod = obs["effector_target_translation"][row, -1].astype(np.float64)
            out[row, 0] = step(blocks, rod)
        return out


def step(blocks: Array, rod: Array) -> Array:
    """The change of the set-point (2,) for blocks (8, 7) as observed and the set-point (2,)."""
    places, colors = blocks[:, :2], blocks[:, 6]
    left = [i for i in range(len(blocks)) if not is_in_place(places[i], colors[i])]
    if not left:
        return np.zeros(2)
    chosen = min(left, key=lambda i: cost(i, places, colors, rod))
    block = places[chosen]
    aim = aim_of(block, colors[chosen])
    yaw = float(np.arctan2(blocks[chosen, 5], blocks[chosen, 4])) / 4
    apart = np.linalg.norm(places - block, axis=1)
    others = [place for place, far in zip(places, apart, strict=True) if far > CROWD]
    return push(rod, block, yaw, aim, float(np.linalg.norm(aim - block)), others)


def aim_of(block: Array, color: float) -> Array:
    """Where a block (2,) is pushed: straight over the border of its place."""
    return np.array([block[0], color * (BORDER + DEPTH)])


def cost(i: int, places: Array, colors: Array, rod: Array) -> float:
    """What it costs to push block ``i`` next (m)."""
    block = places[i]
    aim = aim_of(block, colors[i])
    start = pre_push_point(block, aim, START_DISTANCE)
    crossed = sum(
        CROSSED * (1 if colors[j] == colors[i] else 2)
        for j in range(len(places))
        if j != i and _distance_to_line(start, aim, places[j]) < CLEARANCE
    )
    way = np.linalg.norm(start - rod) + TO_GO * np.linalg.norm(aim - block)
    return float(way) + crossed
