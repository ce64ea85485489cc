"""Disks on a table, pushed by a stick, in Pymunk; lengths inside are millimeters, those outside meters."""

from __future__ import annotations

import math

import numpy as np
import pymunk
import pymunk.batch
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Half the side of the square table (m); a wall runs along its edge.
HALF_SIDE = 0.25
#: Radius of a piece (m).
PIECE_RADIUS = 0.006
#: Length and thickness of the stick (m).
STICK_LENGTH, STICK_THICKNESS = 0.14, 0.008
#: How far from the middle the stick's center may be sent along each axis (m): a piece fits between it and the wall.
REACH = 0.225
#: Seconds of a control step and physics steps in it. At full speed the stick moves 1.5 mm in one; with steps
#: twice as long, it presses pieces 8 mm into a wall instead of 2.
CONTROL_STEP, SUBSTEPS = 0.1, 20

#: Pymunk's defaults, such as how deep contacts may sink (0.1), are made for lengths of tens: hence millimeters.
_MM = 1000.0
#: Share of its velocity that a body keeps for a second. A piece let go at full speed slides on for 8 mm, as on felt.
_DAMPING = 1e-16
_ITERATIONS = 10
#: Share of an overlap that is resolved in 1/60 s; the default, a tenth, lets pieces at a wall sink deeper and deeper.
_RESOLVED = 0.6
#: Of a piece and of the stick (kg): not too far apart, or the engine, which iterates, lets pieces sink into each other.
_PIECE_MASS, _STICK_MASS = 0.1, 1.0
#: What pulls the stick to its set-point at most (kg mm/s^2, kg mm^2/s^2): it pushes dozens of pieces at full speed, and
#: does not press them into a wall.
_FORCE, _TORQUE = 3e4, 1e6
_FRICTION = 0.4
#: Thickness of the walls (mm), most of it outside: nothing passes in one step.
_WALL = 50.0


class Simulation:
    """The stick and ``len(pieces)`` disks, from their initial places on."""

    def __init__(self, stick: Array, pieces: Array) -> None:
        """``stick`` (3,): x, y (m), yaw (rad); ``pieces`` (N, 2) in m, which may overlap a little.

        Everything is made anew for every episode: the engine remembers contacts, and an episode must depend on its
        seed only.
        """
        self.setpoint = stick.copy()
        self._space = pymunk.Space()
        self._space.iterations = _ITERATIONS
        self._space.damping = _DAMPING
        self._space.collision_bias = (1 - _RESOLVED) ** 60
        self._add_walls()
        joints = self._add_stick(stick)
        for x, y in pieces * _MM:
            radius = PIECE_RADIUS * _MM
            body = pymunk.Body(_PIECE_MASS, pymunk.moment_for_circle(_PIECE_MASS, 0, radius))
            body.position = x, y
            shape = pymunk.Circle(body, radius)
            shape.friction = _FRICTION
            self._space.add(body, shape)
        self._space.add(self._hand, *joints)
        self._buffer = pymunk.batch.Buffer()
        self._read()

    def settle(self, seconds: float) -> None:
        """Let pieces that overlap come apart."""
        for _ in range(round(seconds / CONTROL_STEP)):
            self.move(self.setpoint)

    def move(self, setpoint: Array) -> None:
        """Pull the stick along a straight line to ``setpoint`` (3,) for 0.1 s; its center stays within reach."""
        target = setpoint.copy()
        target[:2] = np.clip(target[:2], -REACH, REACH)
        change = target - self.setpoint
        x, y, yaw = self.setpoint * (_MM, _MM, 1.0)
        self._hand.position, self._hand.angle = (x, y), yaw
        self._hand.velocity = tuple(change[:2] * _MM / CONTROL_STEP)
        self._hand.angular_velocity = change[2] / CONTROL_STEP
        for _ in range(SUBSTEPS):
            self._space.step(CONTROL_STEP / SUBSTEPS)
        self.setpoint = target
        self._read()

    def _read(self) -> None:
        self._buffer.clear()
        fields = pymunk.batch.BodyFields.POSITION | pymunk.batch.BodyFields.ANGLE
        pymunk.batch.get_space_bodies(self._space, fields, self._buffer)
        poses = np.frombuffer(self._buffer.float_buf()).reshape(-1, 3) / (_MM, _MM, 1.0)
        # Bodies come in the order in which they were added; the last two are the hand and what walls are fixed to.
        self.stick: Array = poses[0]
        self.pieces: Array = poses[1:-2, :2]

    def _add_walls(self) -> None:
        edge = HALF_SIDE * _MM + _WALL
        corners = [(-edge, -edge), (edge, -edge), (edge, edge), (-edge, edge)]
        for a, b in zip(corners, corners[1:] + corners[:1], strict=True):
            wall = pymunk.Segment(self._space.static_body, a, b, _WALL)
            wall.friction = _FRICTION
            self._space.add(wall)

    def _add_stick(self, pose: Array) -> tuple[pymunk.PivotJoint, pymunk.GearJoint]:
        half, radius = STICK_LENGTH * _MM / 2, STICK_THICKNESS * _MM / 2
        a, b = (-half + radius, 0.0), (half - radius, 0.0)
        stick = pymunk.Body(_STICK_MASS, pymunk.moment_for_segment(_STICK_MASS, a, b, radius))
        # A body that nothing stops leads, and the stick follows with limited force.
        self._hand = pymunk.Body(body_type=pymunk.Body.KINEMATIC)
        for body in (stick, self._hand):
            body.position, body.angle = tuple(pose[:2] * _MM), pose[2]
        shape = pymunk.Segment(stick, a, b, radius)
        shape.friction = _FRICTION
        pivot = pymunk.PivotJoint(self._hand, stick, (0.0, 0.0), (0.0, 0.0))
        gear = pymunk.GearJoint(self._hand, stick, 0.0, 1.0)
        pivot.max_force, gear.max_force = _FORCE, _TORQUE
        # The hand moves at the stick's target velocity: the joints remove a position error within a control step.
        for joint in (pivot, gear):
            joint.error_bias = math.exp(-60.0)
        self._space.add(stick, shape)
        return pivot, gear
