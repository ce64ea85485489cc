"""The scripted experts of the tabletop tasks. They see observations, and no simulator.

Each is held to its success over a thousand seeds by ``tests/envs/test_block_push.py`` (slow): 99 % in reaching and
pushing, 98 in two zones or with two blocks, 90 in inserting, where a block that meets the mouth cornerwise can wedge.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
from ibc_envs.block_push.geometry import direction
from ibc_envs.block_push.pushing import push, towards
from numpy.typing import NDArray

Array = NDArray[np.float64]
Obs = dict[str, Array]

#: Reach: distance of the point from the block, and the greatest step (m), as published.
PRE_PUSH_DISTANCE, REACH_STEP = 0.05, 0.02
#: Discontinuous: the block has been in the first zone if it is this close to its center, or in a corridor (half width,
#: and its growth with the way) from there to the second zone, or farther along y than GONE (m).
PLACED, CORRIDOR, WIDENING, GONE = 0.01, 0.008, 0.25, 0.06
#: Multimodal: closer than this to a zone's center, a block is left alone; the line of a push keeps this far from the
#: other block. Ways are chosen by exp(-distance / NEARBY) of where the push begins.
MULTIMODAL_PLACED, CLEARANCE, NEARBY = 0.02, 0.065, 0.06
#: Insert: the block is aimed at the point of the slot's axis that lies LOOK_AHEAD in front of it, no farther from the
#: seat than FIRST_GATE, and where along x there is room to push from every side. A block that is off the axis by more
#: than STRAY is kept GATE_SLOPE times the excess, up to GATE, before the seat (m).
LOOK_AHEAD, FIRST_GATE, AIM_X = 0.05, 0.3, (0.26, 0.56)
STRAY, GATE_SLOPE, GATE = 0.003, 15.0, 0.08
#: How much farther than to the seat the block is pushed, so that it lies against the end.
PRESS = 0.003


class _Expert(ABC):
    """Acts for several environments, each by its own present observation."""

    def reset(self, env_index: int, seed: int) -> None:  # noqa: B027 most keep nothing from step to step
        """A new episode begins in environment ``env_index``."""

    def act(self, env_indices: Sequence[int], obs: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
        """Changes of the set-point (E, 1, 2) for windows ``{name: (E, To, ...)}``."""
        out = np.empty((len(env_indices), 1, 2), np.float32)
        for row, env_index in enumerate(env_indices):
            now = {
                name: window[row, -1].astype(np.float64)
                for name, window in obs.items()
                if window.ndim == 3  # vectors; it needs no pictures
            }
            out[row, 0] = self._act(env_index, now)
        return out

    @abstractmethod
    def _act(self, env_index: int, obs: Obs) -> Array:
        """The change of the set-point (2,) for one observation."""


def _yaw(orientation: Array) -> float:
    """Yaw up to quarter turns, from the cosine and sine of four times it."""
    return float(np.arctan2(orientation[1], orientation[0])) / 4


def _push_to(obs: Obs, aim: Array, block: str = "block", others: Sequence[Array] = ()) -> Array:
    center = obs[f"{block}_translation"]
    return push(
        obs["effector_target_translation"],
        center,
        _yaw(obs[f"{block}_orientation"]),
        aim,
        float(np.linalg.norm(aim - center)),
        others,
    )


class ReachExpert(_Expert):
    """Goes straight to the point behind the block at 0.2 m/s."""

    def _act(self, env_index: int, obs: Obs) -> Array:
        block, target = obs["block_translation"], obs["target_translation"]
        goal = pre_push_point(block, target, PRE_PUSH_DISTANCE)
        return towards(obs["effector_target_translation"], goal, REACH_STEP)


class PushExpert(_Expert):
    """Pushes the block to the zone's center."""

    def _act(self, env_index: int, obs: Obs) -> Array:
        return _push_to(obs, obs["target_translation"])


class DiscontinuousExpert(_Expert):
    """Pushes the block to the first zone until it is there or beyond, then to the second.

    It goes closer to the first zone's center than success asks, and tells by where the block is, not by memory, which
    zone is next: so can a policy that sees the same.
    """

    def _act(self, env_index: int, obs: Obs) -> Array:
        first, second = obs["target_translation"], obs["target2_translation"]
        block = obs["block_translation"]
        way = (second - first) / np.linalg.norm(second - first)
        along, off = _along_and_off(block - first, way)
        arrived = (
            np.linalg.norm(block - first) < PLACED
            or (along > 0 and abs(off) < CORRIDOR + WIDENING * along)
            or block[1] - first[1] > GONE
        )
        return _push_to(obs, second if arrived else first)


class MultimodalExpert(_Expert):
    """Pushes one block to one zone and then the other to the other, in one of four ways.

    Ways in which a block would be pushed through the other are left out where there is another. Among the rest it
    chooses by the seed, and rather one that begins close to where the rod is, so that its choice can be seen from what
    it does. After the first block is placed, what remains to do follows from the observation alone.
    """

    def __init__(self) -> None:
        self._choice: dict[int, np.random.Generator | tuple[int, int]] = {}

    def reset(self, env_index: int, seed: int) -> None:
        """A new episode begins in environment ``env_index``."""
        self._choice[env_index] = np.random.default_rng(seed)

    def _act(self, env_index: int, obs: Obs) -> Array:
        blocks = [obs["block_translation"], obs["block2_translation"]]
        targets = [obs["target_translation"], obs["target2_translation"]]
        choice = self._choice[env_index]
        if not isinstance(choice, tuple):
            rod = obs["effector_target_translation"]
            choice = self._choice[env_index] = self._choose(choice, rod, blocks, targets)
        placed = [
            (i, j)
            for i, j in product(range(2), repeat=2)
            if np.linalg.norm(blocks[i] - targets[j]) < MULTIMODAL_PLACED
        ]
        i, j = (1 - placed[0][0], 1 - placed[0][1]) if placed else choice
        return _push_to(obs, targets[j], ("block", "block2")[i], [blocks[1 - i]])

    @staticmethod
    def _choose(
        rng: np.random.Generator, rod: Array, blocks: list[Array], targets: list[Array]
    ) -> tuple[int, int]:
        def room(way: tuple[int, int]) -> float:
            i, j = way
            return min(
                _distance_to_line(blocks[i], targets[j], blocks[1 - i]),
                _distance_to_line(blocks[1 - i], targets[1 - j], targets[j]),
            )

        ways = list(product(range(2), repeat=2))
        clear = [way for way in ways if room(way) > CLEARANCE]
        if not clear:
            return max(ways, key=room)
        far = [
            np.linalg.norm(pre_push_point(blocks[i], targets[j], PRE_PUSH_DISTANCE) - rod)
            for i, j in clear
        ]
        weight = np.exp(-np.array(far) / NEARBY)
        return clear[rng.choice(len(clear), p=weight / weight.sum())]


class InsertExpert(_Expert):
    """Brings the block onto the slot's axis, straightens it and pushes it in."""

    def _act(self, env_index: int, obs: Obs) -> Array:
        block, seat = obs["block_translation"], obs["target_translation"]
        yaw = _yaw(obs["target_orientation"])
        yaw += np.pi / 2 * np.round((np.pi / 2 - yaw) / (np.pi / 2))  # the one closest to +y
        axis = direction(yaw)
        to_go, off = _along_and_off(seat - block, axis)
        before = min(to_go - LOOK_AHEAD, FIRST_GATE)
        strays = abs(off) > STRAY
        if strays:
            before = max(before, min(GATE_SLOPE * (abs(off) - STRAY), GATE))
        aim = seat - axis * before
        aim[0] = np.clip(aim[0], *AIM_X)
        distance = float(np.linalg.norm(aim - block)) if strays else to_go + PRESS
        return push(
            obs["effector_target_translation"],
            block,
            _yaw(obs["block_orientation"]),
            aim,
            distance,
            pivot=0.0,
        )


def pre_push_point(block: Array, target: Array, distance: float) -> Array:
    """The point that far behind the block, seen from the target."""
    away: Array = block - target
    return block + distance * away / np.linalg.norm(away)


def _along_and_off(vector: Array, axis: Array) -> tuple[float, float]:
    """Its components along a unit vector and to the left of it."""
    return float(vector @ axis), float(axis[0] * vector[1] - axis[1] * vector[0])


def _distance_to_line(start: Array, end: Array, point: Array) -> float:
    """From the segment to the point."""
    span = end - start
    fraction = np.clip(span @ (point - start) / (span @ span), 0.0, 1.0)
    return float(np.linalg.norm(start + fraction * span - point))
