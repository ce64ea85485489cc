"""A disk that pushes a T in Pymunk, and the share of the target that the T covers; lengths in pixels of a 512 table."""

from __future__ import annotations

import cv2
import numpy as np
import pymunk
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Side of the table.
SIDE = 512.0
#: Pose of the target: x, y, angle (rad).
TARGET = (256.0, 256.0, np.pi / 4)
#: Radius of the agent's disk; width of the T's bars, and length of each in widths.
AGENT_RADIUS = 15.0
_BAR, _LENGTH = 30.0, 4
#: Control steps a second and physics steps in each.
CONTROL_HZ, SUBSTEPS = 10, 10
#: The agent's acceleration per pixel of distance from its set-point, and per pixel a second of velocity.
_STIFFNESS, _DAMPING = 100.0, 20.0
_WALL_LOW, _WALL_HIGH, WALL_RADIUS = 5.0, 506.0, 2.0

#: Corners of the crossbar and of the stem, in the block's own frame, in the order of the recorded keypoints.
BARS = (
    ((-2 * _BAR, 0.0), (2 * _BAR, 0.0), (2 * _BAR, _BAR), (-2 * _BAR, _BAR)),
    ((-_BAR / 2, _BAR), (_BAR / 2, _BAR), (_BAR / 2, 4 * _BAR), (-_BAR / 2, 4 * _BAR)),
)
#: Of the T, in its own frame: the mean of the bars' centers.
CENTER_OF_MASS = (0.0, 1.5 * _BAR)
_AREA = 2 * _LENGTH * _BAR**2 - _BAR**2


class Simulation:
    """Agent and block from given places on, with the constants of the published task.

    Masses, sizes, gains and time steps are those of Chi et al. 2023 (as in the packages diffusion_policy and
    gym-pusht), so that recorded actions move the block as they did when they were recorded.
    """

    def __init__(self, agent: Array, block: Array) -> None:
        """``agent`` (2,): x, y; ``block`` (3,): x, y, angle (rad)."""
        self._space = pymunk.Space()
        self._space.damping = 0.0
        corners = [
            (_WALL_LOW, _WALL_HIGH),
            (_WALL_LOW, _WALL_LOW),
            (_WALL_HIGH, _WALL_LOW),
            (_WALL_HIGH, _WALL_HIGH),
        ]
        for a, b in zip(corners, corners[1:] + corners[:1], strict=True):
            self._space.add(pymunk.Segment(self._space.static_body, a, b, WALL_RADIUS))
        self._agent = pymunk.Body(body_type=pymunk.Body.KINEMATIC)
        self._space.add(self._agent, pymunk.Circle(self._agent, AGENT_RADIUS))
        # Both bars are given the crossbar's moment of inertia, as in the published task.
        self._block = pymunk.Body(1.0, 2 * pymunk.moment_for_poly(1.0, BARS[0]))
        self._block.center_of_gravity = CENTER_OF_MASS
        self._space.add(self._block, *(pymunk.Poly(self._block, bar) for bar in BARS))
        self._agent.position = tuple(agent.tolist())
        self._block.angle = float(
            block[2]
        )  # before the position: it turns about the center of mass
        self._block.position = tuple(block[:2].tolist())
        self._space.step(1 / (CONTROL_HZ * SUBSTEPS))

    def move(self, setpoint: Array) -> None:
        """Pull the agent towards ``setpoint`` (2,) for a control step."""
        step = 1 / (CONTROL_HZ * SUBSTEPS)
        target = pymunk.Vec2d(*setpoint.tolist())
        for _ in range(SUBSTEPS):
            pull = _STIFFNESS * (target - self._agent.position) - _DAMPING * self._agent.velocity
            self._agent.velocity += pull * step
            self._space.step(step)

    @property
    def agent(self) -> Array:
        """Return the agent's position (2,)."""
        return np.array(self._agent.position)

    @property
    def block(self) -> Array:
        """Return the block's origin and angle (3,), the angle in [0, 2 pi)."""
        return np.array([*self._block.position, self._block.angle % (2 * np.pi)])

    def bars(self) -> Array:
        """Return the corners of both bars on the table, (2, 4, 2)."""
        return np.array([[self._block.local_to_world(v) for v in bar] for bar in BARS])

    def coverage(self) -> float:
        """Compute the share of the target's area that the block covers."""
        area = 0.0
        for bar in self.bars():
            for target in target_bars():
                overlap, _ = cv2.intersectConvexConvex(
                    (bar - SIDE / 2).astype(np.float32), (target - SIDE / 2).astype(np.float32)
                )
                area += overlap
        # OpenCV errs where edges lie on one another to a thousandth of a pixel.
        return min(1.0, float(area) / _AREA)


def rotated(points: Array, angle: float) -> Array:
    """Rotate points (..., 2) about the origin."""
    cos, sin = np.cos(angle), np.sin(angle)
    return points @ np.array([[cos, sin], [-sin, cos]])


def target_bars() -> Array:
    """Return the corners of the target's bars, (2, 4, 2)."""
    return rotated(np.array(BARS), TARGET[2]) + TARGET[:2]
