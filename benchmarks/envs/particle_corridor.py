"""The particle task in a corridor with a corner, and a demonstrator that ignores goals."""

from collections.abc import Sequence
from typing import Any

import cv2
import gymnasium as gym
import numpy as np
from ibc_envs.particle.env import Array, Obs, ParticleEnv, control_step
from numpy.typing import NDArray

#: Half the width of the corridor, and control steps in an episode: two legs round the corner.
HALF_WIDTH, HORIZON = 0.08, 100
#: Where corners are drawn along either axis, and how far from the edge of the square an arm ends.
CORNERS, EDGE = (0.3, 0.7), 0.08
#: Start and goals are at least this far from the corner, along their arms.
AWAY = 0.12
#: Control steps in an episode without goals, and the greatest speed (units/s) at its start.
WANDERING, SPEED = 12, 1.0
#: The demonstrator keeps this much more distance from the walls, looks so many control steps ahead, and draws so many
#: set-points to choose from.
MARGIN, LOOKAHEAD, DRAWS = 0.02, 16, 256
#: How often a start is drawn until the particle can stop in time.
TRIES = 100


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


def farthest_from_middle(
    setpoint: Array, position: Array, velocity: Array, corner: Array, ends: Array
) -> Array:
    """How far (K,) from the middle line each of K set-points (K, 2) would lead within 0.8 s, if it were held."""
    state = np.stack([position, velocity])
    path = np.einsum("ts,sd->td", BY_STATE, state) + BY_SETPOINT * setpoint[:, None]
    farthest: Array = distance_to_corridor(path, corner, ends).max(1)
    return farthest


def _responses() -> tuple[Array, Array]:
    """What position and velocity now (T, 2), and a set-point (T, 1), do to the position after 1 to T control steps."""
    start = np.array([1.0, 0.0, 0.0]), np.array([0.0, 1.0, 0.0])
    position, velocity = start
    rows = []
    for _ in range(LOOKAHEAD):
        position, velocity = control_step(position, velocity, np.array([0.0, 0.0, 1.0]))
        rows.append(position)
    whole = np.stack(rows)
    return whole[:, :2], whole[:, 2:]


BY_STATE, BY_SETPOINT = _responses()


class ParticleCorridorEnv(ParticleEnv):
    """Reach both goals in their order without leaving an L-shaped corridor.

    The start is drawn in the middle of one arm, both goals in that of the other, the first one nearer to the corner,
    all of them 0.12 or more from it: the straight path leads through the wall. Reaching the second ends the episode.
    With ``goals=False`` episodes are short, success is to stay inside, and the particle starts anywhere, at any
    velocity from which it can still stop inside.

    Observation: that of :class:`ParticleEnv`, ``corner`` (2,), ``ends`` (2,), the x of one arm's end and the y of the
    other's, and ``left`` (1,): 1 once the particle has been more than 0.08 from the middle line.
    """

    def __init__(self, goals: bool = True, render_mode: str | None = None) -> None:
        """See the class."""
        super().__init__(2, horizon=HORIZON if goals else WANDERING, render_mode=render_mode)
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
            self._position, self._velocity = self._under_way()
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

    def _under_way(self) -> tuple[Array, Array]:
        """A place in the corridor, and a velocity from which the particle comes to rest inside."""
        for _ in range(TRIES):
            position = in_corridor(self.np_random, 1, self._corner, self._ends)[0]
            direction = self.np_random.normal(size=2)
            velocity = self.np_random.uniform(0, SPEED) * direction / np.linalg.norm(direction)
            stops = farthest_from_middle(
                position[None], position, velocity, self._corner, self._ends
            )
            if stops[0] < HALF_WIDTH - MARGIN:
                return position, velocity
        return self._corner, np.zeros(2)

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
    """Wanders in the corridor, wherever goals may be.

    At each step it draws a set-point evenly from all that lie in the corridor and would, if held, lead nowhere closer
    to a wall than 0.02. Its actions depend on the corridor alone, not on goals.
    """

    def __init__(self) -> None:
        self._rng: dict[int, np.random.Generator] = {}

    def reset(self, env_index: int, seed: int) -> None:
        """A new episode begins in environment ``env_index``."""
        self._rng[env_index] = np.random.default_rng(seed)

    def act(
        self, env_indices: Sequence[int], obs: dict[str, NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """Set-points (E, 1, 2) for windows ``{name: (E, To, 2)}``."""
        rows = []
        for row, env_index in enumerate(env_indices):
            now = {name: window[row, -1].astype(np.float64) for name, window in obs.items()}
            corner, ends = now["corner"], now["ends"]
            draws = in_corridor(self._rng[env_index], DRAWS, corner, ends)
            farthest = farthest_from_middle(draws, now["pos_agent"], now["vel_agent"], corner, ends)
            safe = np.flatnonzero(farthest < HALF_WIDTH - MARGIN)
            rows.append(draws[safe[0] if len(safe) else farthest.argmin()])
        return np.stack(rows).astype(np.float32)[:, None]


def in_corridor(rng: np.random.Generator, count: int, corner: Array, ends: Array) -> Array:
    """Points (count, 2) spread evenly over what is nearer to the middle line than the demonstrator goes."""
    width = HALF_WIDTH - MARGIN
    low, high = np.minimum(corner, ends) - width, np.maximum(corner, ends) + width
    points = np.zeros((0, 2))
    while len(points) < count:
        drawn = rng.uniform(low, high, (4 * count, 2))
        points = np.concatenate([points, drawn[distance_to_corridor(drawn, corner, ends) < width]])
    return points[:count]
