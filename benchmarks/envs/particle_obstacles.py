"""The particle task with obstacles: disks in two dimensions, balls in more, some of them moving."""

from typing import Any

import gymnasium as gym
import numpy as np
from ibc_envs.particle.env import DT, GOAL_DISTANCE, SUBSTEPS, Array, Obs, ParticleEnv
from numpy.typing import NDArray

#: No obstacle comes closer to start and goals than this (surface to point): 5 cm of it count as the goal.
CLEARANCE = 0.08
#: Control steps in an episode: a detour takes longer than the straight path.
HORIZON = 75
#: Seconds after which a straight path is half done, to the first goal and from there to the second.
PASSING = (0.5, 1.75)
#: How often a place is drawn until it is clear of start and goals; after that the obstacle is left out.
TRIES = 200
#: Where obstacles are that are not there.
ABSENT = -10.0
#: Seconds of a control step.
STEP = DT * SUBSTEPS


class ParticleObstaclesEnv(ParticleEnv):
    """Reach both goals in their order without touching an obstacle.

    Between 1 and ``num_obstacles`` obstacles of one radius are drawn for each episode. The first lies across the
    straight path to the first goal (or, by even chance, to the second), the second across the other one, a third
    anywhere. Each moves with chance one half if ``speed`` is positive, at a constant velocity with which it crosses
    the path about when the particle would. Over the whole episode no surface comes closer to start and goals than 0.08.

    Observation: that of :class:`ParticleEnv` with ``observe_progress``; ``pos_obstacle_K`` and ``vel_obstacle_K``
    (n_dim,) for K from 1, far away where there is none; ``touched`` (1,): 1 from the first contact on. Between two
    control steps everything moves in straight lines. Success: as there, and nothing was touched. ``info["reached"]``
    leaves contact aside, and ends the episode.
    """

    def __init__(
        self,
        n_dim: int = 2,
        num_obstacles: int = 3,
        radius: float = 0.1,
        speed: float = 0.0,
        render_mode: str | None = None,
    ) -> None:
        """``radius`` in units, ``speed`` (the greatest) in units/s.

        Raises:
            ValueError: a number that makes no sense.
        """
        super().__init__(n_dim, observe_progress=True, horizon=HORIZON, render_mode=render_mode)
        if not (num_obstacles >= 1 and radius > 0 and speed >= 0):
            raise ValueError(
                f"num_obstacles={num_obstacles}, radius={radius}, speed={speed}; "
                "allowed: at least 1, positive, not negative"
            )
        self.num_obstacles = num_obstacles
        self.radius = radius
        self.speed = speed
        free = gym.spaces.Box(-np.inf, np.inf, (n_dim,), np.float32)
        spaces = dict(self.observation_space)
        for k in range(1, num_obstacles + 1):
            spaces |= {f"pos_obstacle_{k}": free, f"vel_obstacle_{k}": free}
        spaces["touched"] = gym.spaces.Box(0.0, 1.0, (1,), np.float32)
        self.observation_space = gym.spaces.Dict(spaces)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Obs, dict[str, Any]]:
        """Draw the task, then the obstacles."""
        self._centers = np.full((self.num_obstacles, self.n_dim), ABSENT)
        self._velocities = np.zeros_like(self._centers)
        self._touched = False
        super().reset(seed=seed)
        present = int(self.np_random.integers(1, self.num_obstacles + 1))
        legs = self.np_random.permutation(2)
        for k in range(present):
            self._centers[k], self._velocities[k] = self._draw_obstacle(
                int(legs[k]) if k < 2 else None
            )
        return self._obs(), self._info()

    def step(self, action: NDArray[np.float32]) -> tuple[Obs, float, bool, bool, dict[str, Any]]:
        """Follow the set-point for 50 ms, and move what moves."""
        before = self._position - self._centers
        stepped = super().step(action)
        self._centers = self._centers + STEP * self._velocities
        after = self._position - self._centers
        self._touched |= bool((_closest(before, after) < self.radius).any())
        _, _, _, truncated, _ = stepped
        info = self._info()
        over = info["reached"] or truncated
        return self._obs(), float(over and info["success"]), info["reached"], truncated, info

    def _draw_obstacle(self, leg: int | None) -> tuple[Array, Array]:
        points = np.stack([self._position, self._first, self._second])
        for attempt in range(TRIES):
            if leg is None or attempt > TRIES // 2:
                center, passing = self.np_random.random(self.n_dim), float(np.mean(PASSING))
            else:
                fraction = self.np_random.uniform(0.3, 0.7)
                aside = self.np_random.normal(size=self.n_dim)
                aside *= self.radius / 2 * self.np_random.random() / np.linalg.norm(aside)
                center = points[leg] + fraction * (points[leg + 1] - points[leg]) + aside
                passing = PASSING[leg]
            velocity = np.zeros(self.n_dim)
            if self.speed > 0 and self.np_random.random() < 0.5:
                velocity = self.np_random.normal(size=self.n_dim)
                velocity *= self.speed * self.np_random.uniform(0.5, 1.0) / np.linalg.norm(velocity)
            start = center - passing * velocity
            end = start + self.horizon * STEP * velocity
            if (_closest(points - start, points - end) > self.radius + CLEARANCE).all():
                return start, velocity
        return np.full(self.n_dim, ABSENT), np.zeros(self.n_dim)

    def _obs(self) -> Obs:
        obs = {
            "pos_agent": self._position,
            "vel_agent": self._velocity,
            "pos_first_goal": self._first,
            "pos_second_goal": self._second,
            "reached_first": np.array([float(self._distances[0] < GOAL_DISTANCE)]),
            "touched": np.array([float(self._touched)]),
        }
        for k in range(self.num_obstacles):
            obs |= {
                f"pos_obstacle_{k + 1}": self._centers[k],
                f"vel_obstacle_{k + 1}": self._velocities[k],
            }
        return {name: obs[name].astype(np.float32) for name in self.observation_space}

    def _info(self) -> dict[str, Any]:
        info = super()._info()
        return {
            **info,
            "reached": info["success"],
            "success": info["success"] and not self._touched,
        }

    def _balls(self) -> list[tuple[Array, float]]:
        return [(center, self.radius) for center in self._centers if center[0] != ABSENT]


def _closest(before: Array, after: Array) -> Array:
    """Smallest length (K,) of vectors (K, D) that change from ``before`` to ``after`` in a straight line."""
    change = after - before
    length = np.maximum((change**2).sum(-1), 1e-12)
    fraction = np.clip(-(before * change).sum(-1) / length, 0.0, 1.0)
    closest: Array = np.linalg.norm(before + fraction[:, None] * change, axis=-1)
    return closest
