"""The particle task in a corridor with a corner, and a demonstrator who knows the corridor but no goals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from envs.particle.env import Array, Obs, ParticleEnv, control_step

#: Half the width of the corridor, and control steps in an episode: two legs round the corner.
HALF_WIDTH, HORIZON = 0.08, 100
#: Where corners are drawn along either axis, and how far from the edge of the square an arm ends.
CORNERS, EDGE = (0.3, 0.7), 0.08
#: Start and goals are at least this far from the corner, along their arms.
AWAY = 0.12
#: The demonstrator keeps this much more distance from the walls, looks so many control steps ahead, draws so many
#: set-points to choose from, so far from the middle at most, and chooses anew with this probability at each step.
MARGIN, LOOKAHEAD, DRAWS, ASIDE, RESTLESS = 0.02, 16, 24, 0.03, 0.3


def distance_to_corridor(point: Array, corner: Array, ends: Array) -> Array:
    """Distance (...) of points (..., 2) from the middle line.

    That leads from ``corner`` (2,) along x to ``ends[0]``, and along y to ``ends[1]``.
    """
    found = []
    for axis in range(2):
        low, high = sorted((float(corner[axis]), float(ends[axis])))
        along = point[..., axis] - np.clip(point[..., axis], low, high)
        found.append(np.hypot(along, point[..., 1 - axis] - corner[1 - axis]))
    nearest: Array = np.minimum(*found)
    return nearest


class ParticleCorridorEnv(ParticleEnv):
    """Reach both goals in their order without leaving an L-shaped corridor.

    The start is drawn in the middle of one arm, both goals in that of the other, the first one nearer to the corner,
    all of them 0.12 or more from it: the straight way leads through the wall. Reaching the
    second one ends the episode. With ``goals=False`` success is to stay inside, and the start is anywhere.

    Observation: that of :class:`ParticleEnv`, ``corner`` (2,), ``ends`` (2,), the x of one arm's end and the y of the
    other's, and ``left`` (1,): 1 once the particle has been more than 0.08 from the middle line.
    """

    def __init__(self, goals: bool = True, render_mode: str | None = None) -> None:
        """See the class."""
        super().__init__(2, horizon=HORIZON, render_mode=render_mode)
        self.goals = goals
        place = gym.spaces.Box(0.0, 1.0, (2,), np.float32)
        self.observation_space = gym.spaces.Dict(
            {
                **self.observation_space.spaces,  # type: ignore[attr-defined]
                "corner": place,
                "ends": place,
                "left": gym.spaces.Box(0.0, 1.0, (1,), np.float32),
            }
        )

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Obs, dict[str, Any]]:
        """Draw corridor, start and goals."""
        self._corner, self._ends, self._left = np.zeros(2), np.zeros(2), False
        super().reset(seed=seed)
        self._corner = self.np_random.uniform(*CORNERS, 2)
        self._ends = np.where(self.np_random.random(2) < 0.5, EDGE, 1 - EDGE)
        arm = int(self.np_random.integers(2))
        goals = [self._on_arm(1 - arm) for _ in range(2)]
        goals.sort(key=lambda goal: float(np.linalg.norm(goal - self._corner)))
        self._position, (self._first, self._second) = self._on_arm(arm), goals
        if not self.goals:
            self._position = self._on_arm(arm, away=0.0)
        self._setpoint, self._trail = self._position, [self._position]
        return self._obs(), self._info()

    def step(self, action: NDArray[np.float32]) -> tuple[Obs, float, bool, bool, dict[str, Any]]:
        """Follow the set-point for 50 ms."""
        _, _, _, truncated, _ = super().step(action)
        distance = distance_to_corridor(self._position, self._corner, self._ends)
        self._left |= bool(distance > HALF_WIDTH)
        info = self._info()
        terminated = self.goals and info["reached"]
        reward = float((terminated or truncated) and info["success"])
        return self._obs(), reward, terminated, truncated, info

    def _on_arm(self, axis: int, away: float = AWAY) -> Array:
        point = self._corner.copy()
        span = self._ends[axis] - point[axis]
        point[axis] += np.sign(span) * self.np_random.uniform(away, abs(span))
        return point

    def _obs(self) -> Obs:
        obs = {
            "pos_agent": self._position,
            "vel_agent": self._velocity,
            "pos_first_goal": self._first,
            "pos_second_goal": self._second,
            "corner": self._corner,
            "ends": self._ends,
            "left": np.array([float(self._left)]),
        }
        return {name: obs[name].astype(np.float32) for name in self.observation_space}

    def _info(self) -> dict[str, Any]:
        info = super()._info()
        success = not self._left and (info["success"] or not self.goals)
        return {**info, "reached": info["success"], "success": success}

    def _draw(self, panel: NDArray[np.uint8], dims: list[int]) -> None:
        grid = (np.arange(len(panel)) / len(panel) - 0.1) / 0.8
        x, y = np.meshgrid(grid, grid[::-1])
        outside = distance_to_corridor(np.stack([x, y], -1), self._corner, self._ends) > HALF_WIDTH
        panel[outside] = (225, 225, 230)
        cv2.rectangle(panel, (0, 0), (len(panel) - 1, len(panel) - 1), (225, 225, 225), 1)
        super()._draw(panel, dims)


class CorridorExpert:
    """Wanders in the corridor, wherever goals may be: set-points drawn at random among those that lead nowhere outside.

    A set-point is held until another is drawn (probability 0.3 at each step) or until it leads outside.
    """

    def __init__(self) -> None:
        self._rng: dict[int, np.random.Generator] = {}
        self._setpoint: dict[int, Array | None] = {}

    def reset(self, slot: int, seed: int) -> None:
        """A new episode begins in environment ``slot``."""
        self._rng[slot] = np.random.default_rng(seed)
        self._setpoint[slot] = None

    def act(self, slots: Sequence[int], obs: dict[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        """Set-points (E, 1, 2) for windows ``{name: (E, To, 2)}``."""
        rows = []
        for row, slot in enumerate(slots):
            now = {name: window[row, -1].astype(np.float64) for name, window in obs.items()}
            rows.append(self._act(slot, now))
        return np.stack(rows).astype(np.float32)[:, None]

    def _act(self, slot: int, obs: dict[str, Array]) -> Array:
        rng, held = self._rng[slot], self._setpoint[slot]
        draws = self._draws(rng, obs["corner"], obs["ends"])
        if held is not None and rng.random() > RESTLESS:
            draws[0] = held
        draws[-1] = obs["corner"]
        farthest = self._farthest(draws, obs)
        safe = np.flatnonzero(farthest < HALF_WIDTH - MARGIN)
        chosen: Array = draws[safe[0] if len(safe) else farthest.argmin()]
        self._setpoint[slot] = chosen
        return chosen

    def _draws(self, rng: np.random.Generator, corner: Array, ends: Array) -> Array:
        axis = (rng.random(DRAWS) * np.abs(ends - corner).sum() > abs(ends[0] - corner[0])).astype(
            int
        )
        points = corner + rng.uniform(-ASIDE, ASIDE, (DRAWS, 2))
        rows = np.arange(DRAWS)
        points[rows, axis] = corner[axis] + rng.random(DRAWS) * (ends - corner)[axis]
        return points

    def _farthest(self, setpoint: Array, obs: dict[str, Array]) -> Array:
        """How far from the middle each set-point (K, 2) would lead, if it were held."""
        position = np.tile(obs["pos_agent"], (len(setpoint), 1))
        velocity = np.tile(obs["vel_agent"], (len(setpoint), 1))
        farthest = np.zeros(len(setpoint))
        for _ in range(LOOKAHEAD):
            position, velocity = control_step(position, velocity, setpoint)
            distance = distance_to_corridor(position, obs["corner"], obs["ends"])
            farthest = np.maximum(farthest, distance)
        return farthest
