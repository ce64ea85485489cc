"""A point mass in N dimensions that must visit one goal and then another."""

from __future__ import annotations

from typing import Any, ClassVar

import cv2
import gymnasium as gym
import numpy as np
from ibc_envs.actions import clipped
from ibc_envs.arguments import whole
from numpy.typing import NDArray

Array = NDArray[np.float64]
Obs = dict[str, NDArray[np.float32]]

#: Stiffness (1/s^2) and damping (1/s) of the controller that follows the set-point, for a unit mass.
STIFFNESS, DAMPING = 10.0, 5.0
#: Seconds of one integration step, and how many of them make a control step: 20 Hz.
DT, SUBSTEPS = 0.005, 10
#: A goal is reached within this distance (L2 over all dimensions).
GOAL_DISTANCE = 0.05
#: Control steps in an episode.
HORIZON = 50
#: Greatest speed (units/s) of a scattered start.
SCATTER_SPEED = 0.5

#: Side of the square picture of a pair of dimensions (px), twice that of a single one, and its colors (RGB), which stay
#: distinct where color vision is deficient (Okabe and Ito 2008).
_PANEL = 192
_AGENT, _FIRST, _SECOND, _SETPOINT = (0, 114, 178), (0, 158, 115), (213, 94, 0), (150, 150, 150)
_BALL = (200, 200, 205)


def control_step(position: Array, velocity: Array, setpoint: Array) -> tuple[Array, Array]:
    """One control step of explicit Euler; the position moves by the *old* velocity in each substep."""
    for _ in range(SUBSTEPS):
        force = STIFFNESS * (setpoint - position) - DAMPING * velocity
        position, velocity = position + DT * velocity, velocity + DT * force
    return position, velocity


class ParticleEnv(gym.Env[Obs, NDArray[np.float32]]):
    """Reach the first goal, then the second, within 50 steps (IBC paper, section 4 and appendix C.2).

    Observation: ``pos_agent``, ``vel_agent``, ``pos_first_goal``, ``pos_second_goal``, each of shape (n_dim,).

    Action: an absolute position set-point in [0, 1]^n_dim, followed by a spring and damper.

    Success (in ``info`` at every step): both goals have been reached, the first before the second, and the agent is
    at the second one now. The official environment does not check the order.

    Reward: 1 at the last step if successful, else 0. An episode lasts 50 steps and ends by truncation.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 20}

    def __init__(
        self,
        n_dim: int = 2,
        hide_velocity: bool = False,
        reverse: bool = False,
        observe_progress: bool = False,
        random_init_state: bool = False,
        horizon: int = HORIZON,
        render_mode: str | None = None,
    ) -> None:
        """``hide_velocity`` leaves ``vel_agent`` out of the observation; ``reverse`` asks for the second goal first.

        ``observe_progress`` adds the observation ``reached_first`` (1,): 1 once the goal that comes first has been
        reached. Away from the usual paths the state alone does not tell which goal comes next. ``random_init_state``
        starts episodes with a velocity, and half of them, by chance, with the first goal reached already, wherever the
        particle is. ``horizon`` is in control steps.

        Raises:
            ValueError: dimensions or horizon are no whole number from 1 on, or a render mode there is not.
        """
        whole(n_dim=n_dim, horizon=horizon)
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f"render_mode={render_mode}; allowed: rgb_array")
        self.n_dim = n_dim
        self.hide_velocity = hide_velocity
        self.reverse = reverse
        self.observe_progress = observe_progress
        self.random_init_state = random_init_state
        self.horizon = horizon
        self.render_mode = render_mode
        #: Centers (n_dim,) and radii of disks that a policy keeps out of: drawn, and without effect on the motion.
        self.keep_out: list[tuple[Array, float]] = []
        unit = gym.spaces.Box(0.0, 1.0, (n_dim,), np.float32)
        # The spring overshoots, so the agent can leave the unit cube that goals and set-points lie in.
        free = gym.spaces.Box(-np.inf, np.inf, (n_dim,), np.float32)
        spaces = {
            "pos_agent": free,
            "vel_agent": free,
            "pos_first_goal": unit,
            "pos_second_goal": unit,
        }
        if hide_velocity:
            del spaces["vel_agent"]
        if observe_progress:
            spaces["reached_first"] = gym.spaces.Box(0.0, 1.0, (1,), np.float32)
        self.observation_space = gym.spaces.Dict(spaces)
        self.action_space = unit

    @property
    def own_time_limit(self) -> int:
        """Control steps after which an episode ends without a limit from outside."""
        return self.horizon

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Obs, dict[str, Any]]:
        """Draw agent and goals uniformly in the unit cube; the agent is at rest."""
        super().reset(seed=seed)
        self._position, self._first, self._second = self.np_random.random((3, self.n_dim))
        self._velocity = np.zeros(self.n_dim)
        self._setpoint = self._position
        self._trail = [self._position]
        self._t = 0
        self._distances = np.array([np.inf, np.inf])
        if self.random_init_state:
            self._scatter()
        return self._obs(), self._info()

    def step(self, action: NDArray[np.float32]) -> tuple[Obs, float, bool, bool, dict[str, Any]]:
        """Follow the set-point for 50 ms."""
        self._setpoint = clipped(action, 0.0, 1.0, (self.n_dim,))
        self._position, self._velocity = control_step(
            self._position, self._velocity, self._setpoint
        )
        self._trail.append(self._position)
        self._t += 1
        first, second = self._in_order()
        to_first = float(np.linalg.norm(self._position - first))
        to_second = float(np.linalg.norm(self._position - second))
        self._distances[0] = min(self._distances[0], to_first)
        if self._distances[0] < GOAL_DISTANCE:
            self._distances[1] = min(self._distances[1], to_second)
        truncated = self._t >= self.horizon
        info = self._info()
        reward = float(truncated and info["success"])
        return self._obs(), reward, False, truncated, info

    def _obs(self) -> Obs:
        obs = {
            "pos_agent": self._position,
            "vel_agent": self._velocity,
            "pos_first_goal": self._first,
            "pos_second_goal": self._second,
            "reached_first": np.array([float(self._distances[0] < GOAL_DISTANCE)]),
        }
        return {name: obs[name].astype(np.float32) for name in self.observation_space}

    def _scatter(self) -> None:
        way = self.np_random.normal(size=self.n_dim)
        self._velocity = self.np_random.uniform(0, SCATTER_SPEED) * way / np.linalg.norm(way)
        if self.np_random.random() < 0.5:
            self._distances[0] = 0.0

    def _in_order(self) -> tuple[Array, Array]:
        return (self._second, self._first) if self.reverse else (self._first, self._second)

    def _balls(self) -> list[tuple[Array, float]]:
        """What is drawn as round and solid: centers (n_dim,) and radii."""
        return []

    def _info(self) -> dict[str, Any]:
        final = float(np.linalg.norm(self._position - self._in_order()[1]))
        return {
            "success": bool((self._distances < GOAL_DISTANCE).all() and final < GOAL_DISTANCE),
            "min_distance_first": float(self._distances[0]),
            "min_distance_second": float(self._distances[1]),
            "distance_second": final,
        }

    def render(self) -> NDArray[np.uint8]:  # type: ignore[override]
        """Dimensions two by two, side by side: the agent and its trail, numbered goals, the set-point as a cross."""
        pairs = [(i, min(i + 1, self.n_dim - 1)) for i in range(0, self.n_dim, 2)]
        columns = min(4, len(pairs))
        rows = -(-len(pairs) // columns)
        side = _PANEL if len(pairs) > 1 else 2 * _PANEL
        sheet = np.full((rows * side, columns * side, 3), 255, dtype=np.uint8)
        for k, (i, j) in enumerate(pairs):
            row, column = divmod(k, columns)
            place = np.s_[row * side : (row + 1) * side, column * side : (column + 1) * side]
            panel = np.ascontiguousarray(sheet[place])
            self._draw(panel, [i, j])
            sheet[place] = panel
        return sheet

    def _draw(self, panel: NDArray[np.uint8], dims: list[int]) -> None:
        side = len(panel)
        line = side // _PANEL

        def pixel(point: Array) -> tuple[int, int]:
            x, y = (np.clip(point[dims], -0.1, 1.1) * 0.8 + 0.1) * side
            return round(x), side - round(y)

        cv2.rectangle(panel, (0, 0), (side - 1, side - 1), (225, 225, 225), 1)
        for center, size in (*self._balls(), *self.keep_out):
            cv2.circle(panel, pixel(center), round(size * 0.8 * side), _BALL, -1, cv2.LINE_AA)
        radius = max(2, round(GOAL_DISTANCE * 0.8 * side))
        for goal, color, number in ((self._first, _FIRST, "1"), (self._second, _SECOND, "2")):
            x, y = pixel(goal)
            cv2.circle(panel, (x, y), radius, color, 2 * line, cv2.LINE_AA)
            beside = (x + radius + 3 * line, y + radius // 2)
            cv2.putText(panel, number, beside, 0, 0.3 * line, color, line, cv2.LINE_AA)
        trail = np.array([pixel(point) for point in self._trail], dtype=np.int32)
        cv2.polylines(panel, [trail], False, (150, 190, 225), line, cv2.LINE_AA)
        cv2.drawMarker(panel, pixel(self._setpoint), _SETPOINT, cv2.MARKER_CROSS, 8 * line, line)
        cv2.circle(panel, pixel(self._position), 4 * line, _AGENT, -1, cv2.LINE_AA)
