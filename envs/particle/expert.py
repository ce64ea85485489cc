"""The scripted expert of the particle task."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

#: The expert turns to the second goal once it has been this close to the first.
SWITCH_DISTANCE = 0.01


class ParticleExpert:
    """Commands the first goal until it has been reached closely once, then the second for ever.

    Where an episode starts with the first goal reached (observation ``reached_first``), it goes to the second.
    Solves every episode for 1 to 32 dimensions. With ``reverse`` it goes to the second goal first.
    """

    def __init__(self, *, reverse: bool = False) -> None:
        self._arrived: dict[int, bool] = {}
        self._new: set[int] = set()
        goals = ("pos_first_goal", "pos_second_goal")
        self._first, self._second = goals[::-1] if reverse else goals

    def reset(self, env_index: int, seed: int) -> None:
        """A new episode begins in environment ``env_index``."""
        self._arrived[env_index] = False
        self._new.add(env_index)

    def act(
        self, env_indices: Sequence[int], obs: dict[str, NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """Set-points (E, 1, n_dim) for windows ``{name: (E, To, n_dim)}``."""
        now = {name: window[:, -1] for name, window in obs.items()}
        distance = np.linalg.norm(now["pos_agent"] - now[self._first], axis=-1)
        for row, env_index in enumerate(env_indices):
            self._arrived[env_index] |= bool(distance[row] < SWITCH_DISTANCE)
            if env_index in self._new and "reached_first" in now:
                self._arrived[env_index] |= bool(now["reached_first"][row, 0] > 0)
            self._new.discard(env_index)
        arrived = np.array([self._arrived[env_index] for env_index in env_indices])
        goal = np.where(arrived[:, None], now[self._second], now[self._first])
        return goal[:, None]
