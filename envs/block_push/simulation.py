"""The physics: a tool that follows set-points at 10 Hz, and blocks that it pushes."""

from __future__ import annotations

from collections.abc import Sequence

import mujoco
import numpy as np
from numpy.typing import NDArray

from envs.block_push import arm as xarm
from envs.block_push.scene import (
    ARMS,
    BLOCK_SIZE,
    DT,
    REACH,
    SLIDE_KP,
    SLIDE_KV,
    SUBSTEPS,
    TOOL_CLEARANCE,
    WORKSPACE,
    Scene,
    scene_xml,
)

Array = NDArray[np.float64]

#: Simulation steps after placing the blocks, in which they settle.
SETTLE_STEPS = 40
_LOW, _HIGH = np.array(WORKSPACE)


def into_workspace(point: Array) -> Array:
    """The nearest set-point (2,) that the arm can hold."""
    point = np.clip(point, _LOW, _HIGH)
    return point * min(1.0, REACH / float(np.linalg.norm(point)))


class Simulation:
    """Blocks, targets and the tool, in metres and radians."""

    def __init__(self, scene: Scene, arm: str = "slides") -> None:
        """Raises ValueError for an arm there is not."""
        if arm not in ARMS:
            raise ValueError(f"arm={arm}; allowed: {', '.join(ARMS)}")
        self.model = mujoco.MjModel.from_xml_string(scene_xml(scene, arm))
        self.data = mujoco.MjData(self.model)
        self._tip = self.model.site("tip").id
        self._blocks = [self.model.joint(f"block{i}").qposadr[0] for i in range(scene.num_blocks)]
        self._targets = [
            self.model.body(f"target{i}").mocapid[0] for i in range(len(scene.targets))
        ]
        names = "xy" if arm == "slides" else [f"joint{i}" for i in range(len(xarm.JOINTS))]
        self._pusher = np.array([self.model.joint(name).qposadr[0] for name in names])
        self._ik = xarm.InverseKinematics(self.model) if arm == "xarm" else None
        # Leads the set-point by what the actuators' damping costs while moving.
        self._lead = xarm.KV / xarm.KP if arm == "xarm" else SLIDE_KV / SLIDE_KP

    def reset(self, tool: Array, blocks: Sequence[Array], targets: Sequence[Array]) -> None:
        """Place everything: the tool's set-point (2,), and (x, y, yaw) of every block and target."""
        mujoco.mj_resetData(self.model, self.data)
        for start, (x, y, yaw) in zip(self._blocks, blocks, strict=True):
            self.data.qpos[start : start + 3] = x, y, BLOCK_SIZE / 2
            self.data.qpos[start + 3 : start + 7] = np.cos(yaw / 2), 0, 0, np.sin(yaw / 2)
        for i, (x, y, yaw) in zip(self._targets, targets, strict=True):
            self.data.mocap_pos[i] = x, y, 0
            self.data.mocap_quat[i] = np.cos(yaw / 2), 0, 0, np.sin(yaw / 2)
        self.setpoint = into_workspace(tool)
        self._command = self._solve(self.setpoint, xarm.REST, iterations=60)
        self.data.qpos[self._pusher] = self._command
        self.data.ctrl[:] = self._command
        mujoco.mj_step(self.model, self.data, SETTLE_STEPS)
        mujoco.mj_kinematics(self.model, self.data)

    def move(self, setpoint: Array) -> None:
        """One control step, in which the set-point travels at constant speed to a new place (2,)."""
        self.setpoint = into_workspace(setpoint)
        start, self._command = self._command, self._solve(self.setpoint, self._command)
        travel = self._command - start
        for k in range(1, SUBSTEPS + 1):
            self.data.ctrl[:] = start + travel * (k / SUBSTEPS + self._lead / (SUBSTEPS * DT))
            mujoco.mj_step(self.model, self.data)
        mujoco.mj_kinematics(self.model, self.data)

    def _solve(self, point: Array, start: Array, iterations: int = xarm.ITERATIONS) -> Array:
        if self._ik is None:
            return point
        return self._ik.solve(np.append(point, TOOL_CLEARANCE), start, iterations)

    @property
    def tool(self) -> Array:
        """Where the tool is (2,)."""
        return self.data.site_xpos[self._tip, :2].copy()

    @property
    def blocks(self) -> Array:
        """Pose (x, y, yaw) of every block, (num_blocks, 3)."""
        out = np.empty((len(self._blocks), 3))
        for row, start in zip(out, self._blocks, strict=True):
            row[:2] = self.data.qpos[start : start + 2]
            w, x, y, z = self.data.qpos[start + 3 : start + 7]
            row[2] = np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
        return out

    @property
    def targets(self) -> Array:
        """Pose (x, y, yaw) of every target, (num_targets, 3)."""
        out = np.empty((len(self._targets), 3))
        for row, i in zip(out, self._targets, strict=True):
            row[:2] = self.data.mocap_pos[i, :2]
            row[2] = 2 * np.arctan2(self.data.mocap_quat[i, 3], self.data.mocap_quat[i, 0])
        return out
