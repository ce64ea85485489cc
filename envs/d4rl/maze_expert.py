"""A controller for the point maze: shortest way over the cells, proportional and derivative on the way."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

Cell = tuple[int, int]

#: Force for each meter to the next way point, and against each meter a second.
PROPORTIONAL, DERIVATIVE = 10.0, 1.0
#: Straight ways: greatest speed (m/s), meters from the goal within which it is less, and force for each m/s that lacks.
SPEED, BRAKING, GAIN = 2.0, 0.5, 2.0


class PointMazeExpert:
    """Heads for the center of the next cell of a shortest way, in the last cell for the goal itself.

    What it does is a function of the observation. The original data comes from a controller of this kind as well.
    """

    def __init__(self, *, env_id: str) -> None:
        """The maze is that of a registered environment.

        Raises:
            ValueError: it has none.
        """
        maze_map = gym.spec(env_id).kwargs.get("maze_map")
        if maze_map is None:
            raise ValueError(f"{env_id} is no maze")
        self._size = len(maze_map), len(maze_map[0])
        self._free = {
            (i, j) for i, row in enumerate(maze_map) for j, cell in enumerate(row) if cell != 1
        }
        self._next = {goal: self._ways_to(goal) for goal in self._free}

    def reset(self, env_index: int, seed: int) -> None:
        """Nothing is remembered from step to step."""

    def act(
        self, env_indices: Sequence[int], obs: dict[str, NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """Forces (E, 1, 2) for windows ``observation (E, To, 4)`` and ``desired_goal (E, To, 2)``."""
        state, goal = obs["observation"][:, -1], obs["desired_goal"][:, -1]
        target = np.stack([self._target(s[:2], g) for s, g in zip(state, goal, strict=True)])
        force = PROPORTIONAL * (target - state[:, :2]) - DERIVATIVE * state[:, 2:]
        return np.clip(force, -1, 1).astype(np.float32)[:, None]

    def _target(
        self, position: NDArray[np.float32], goal: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        here, there = self._cell(position), self._cell(goal)
        if here == there:
            return goal
        i, j = self._next[there][here]
        if (i, j) == there:
            return goal
        rows, columns = self._size
        return np.array([j + 0.5 - columns / 2, rows / 2 - i - 0.5], dtype=np.float32)

    def _cell(self, position: NDArray[np.float32]) -> Cell:
        """The free cell nearest to a position; cells are one meter wide, the maze is centerd on the origin."""
        rows, columns = self._size
        i, j = rows / 2 - position[1] - 0.5, position[0] + columns / 2 - 0.5
        return min(self._free, key=lambda cell: (cell[0] - i) ** 2 + (cell[1] - j) ** 2)

    def _ways_to(self, goal: Cell) -> dict[Cell, Cell]:
        """From every cell the next one on a shortest way to ``goal``."""
        following: dict[Cell, Cell] = {}
        waiting = deque([goal])
        while waiting:
            i, j = waiting.popleft()
            for cell in ((i + 1, j), (i - 1, j), (i, j + 1), (i, j - 1)):
                if cell in self._free and cell != goal and cell not in following:
                    following[cell] = (i, j)
                    waiting.append(cell)
        return following


class StraightExpert:
    """Goes straight to the goal, where no walls are in the way: at 2 m/s, and slower in proportion from 0.5 m on."""

    def reset(self, env_index: int, seed: int) -> None:
        """Nothing is remembered from step to step."""

    def act(
        self, env_indices: Sequence[int], obs: dict[str, NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """Forces (E, 1, 2) for windows ``observation (E, To, 4)`` and ``desired_goal (E, To, 2)``."""
        state, goal = obs["observation"][:, -1], obs["desired_goal"][:, -1]
        way = goal - state[:, :2]
        distance = np.maximum(np.linalg.norm(way, axis=1, keepdims=True), BRAKING)
        force = GAIN * (SPEED * way / distance - state[:, 2:])
        return np.clip(force, -1, 1).astype(np.float32)[:, None]
