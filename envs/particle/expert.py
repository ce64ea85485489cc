"""The scripted expert of the particle task."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

#: The expert turns to the second goal once it has been this close to the first.
SWITCH_DISTANCE = 0.01


class ParticleExpert:
    """Commands the first goal until it has been reached closely once, then the second for ever.

    Where the observation tells progress, it turns as soon as the first goal counts as reached.
    Solves every episode for 1 to 32 dimensions. With ``reverse`` it goes to the second goal first.
    """

    def __init__(self, *, reverse: bool = False) -> None:
        self._arrived: dict[int, bool] = {}
        goals = ("pos_first_goal", "pos_second_goal")
        self._first, self._second = goals[::-1] if reverse else goals

    def reset(self, slot: int, seed: int) -> None:
        """A new episode begins in environment ``slot``."""
        self._arrived[slot] = False

    def act(self, slots: Sequence[int], obs: dict[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        """Set-points (E, 1, n_dim) for windows ``{name: (E, To, n_dim)}``."""
        now = {name: window[:, -1] for name, window in obs.items()}
        distance = np.linalg.norm(now["pos_agent"] - now[self._first], axis=-1)
        near = distance < SWITCH_DISTANCE
        if "reached_first" in now:
            near = now["reached_first"][:, 0] > 0
        for slot, arrived_now in zip(slots, near, strict=True):
            self._arrived[slot] |= bool(arrived_now)
        arrived = np.array([self._arrived[slot] for slot in slots])
        goal = np.where(arrived[:, None], now[self._second], now[self._first])
        return goal[:, None]
