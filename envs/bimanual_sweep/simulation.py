"""Beads, bowls and two scoops in MuJoCo."""

from __future__ import annotations

import numpy as np
from ibc_envs.bimanual_sweep.scene import (
    DAMPING,
    DT,
    JOINTS,
    PIECE_RADIUS,
    STIFFNESS,
    SUBSTEPS,
    scene_xml,
)
from ibc_envs.physics import mujoco
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Where a scoop's set-point is held: x, y, z (m) of the lip's middle, yaw, pitch, roll (rad). Each scoop may cross the
#: middle by what meeting elsewhere takes.
LOW = np.array([[-0.30, -0.12, 0.001, -0.8, -0.8, -0.8], [-0.10, -0.12, 0.001, -0.8, -0.8, -0.8]])
HIGH = np.array([[0.10, 0.30, 0.20, 0.8, 0.9, 0.8], [0.30, 0.30, 0.20, 0.8, 0.9, 0.8]])
#: How far a set-point may be ahead of the scoop (m, rad): one that is held back does not wind up.
AHEAD = np.array([0.02] * 3 + [0.15] * 3)


class Simulation:
    """``count`` beads and two scoops. Poses are (2, 6): left and right; x, y, z (m), yaw, pitch, roll (rad)."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.model = mujoco.MjModel.from_xml_string(scene_xml(count))
        self.data = mujoco.MjData(self.model)
        joints = [self.model.joint(f"{arm}_{j}") for arm in ("left", "right") for j in JOINTS]
        self._scoops = np.array([joint.qposadr[0] for joint in joints])
        self._beads = np.array([self.model.joint(f"piece{i}").qposadr[0] for i in range(count)])

    def reset(self, poses: Array, pieces: Array) -> None:
        """Place the scoops (2, 6), and beads at rest at ``pieces`` (count, 2) on the table."""
        mujoco.mj_resetData(self.model, self.data)
        self.setpoint = poses.copy()
        self.data.qpos[self._scoops] = poses.ravel()
        self.data.ctrl[:] = poses.ravel()
        for start, (x, y) in zip(self._beads, pieces, strict=True):
            self.data.qpos[start : start + 3] = x, y, PIECE_RADIUS
        mujoco.mj_forward(self.model, self.data)

    def move(self, setpoint: Array) -> None:
        """One control step, in which the set-points travel at constant speed to (2, 6)."""
        start = self.setpoint
        self.setpoint = np.clip(setpoint, LOW, HIGH)
        travel = (self.setpoint - start).ravel()
        # Leads the set-point by what the actuators' damping costs while moving: the same for slides and hinges.
        lead = DAMPING / STIFFNESS / (SUBSTEPS * DT)
        for k in range(1, SUBSTEPS + 1):
            self.data.ctrl[:] = start.ravel() + travel * (k / SUBSTEPS + lead)
            mujoco.mj_step(self.model, self.data)
        poses = self.poses
        self.setpoint = np.clip(self.setpoint, poses - AHEAD, poses + AHEAD)

    @property
    def poses(self) -> Array:
        """Where the scoops are (2, 6)."""
        return self.data.qpos[self._scoops].reshape(2, len(JOINTS))

    @property
    def pieces(self) -> Array:
        """Middles of the beads (count, 3)."""
        return self.data.qpos[self._beads[:, None] + np.arange(3)]
