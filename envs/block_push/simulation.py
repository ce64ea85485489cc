"""The physics: a tool that follows set-points at 10 Hz, and blocks that it pushes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ibc_envs.block_push import arm as xarm
from ibc_envs.block_push.scene import (
    ARMS,
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
from ibc_envs.physics import mujoco
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Simulation steps after placing the blocks, in which they settle.
SETTLE_STEPS = 40
#: Longest way (m) between two solutions of the inverse kinematics.
LEG = 0.03
_LOW, _HIGH = np.array(WORKSPACE)


def into_workspace(point: Array) -> Array:
    """The nearest set-point (2,) that the arm can hold."""
    point = np.clip(point, _LOW, _HIGH)
    return point * min(1.0, REACH / float(np.linalg.norm(point)))


class Simulation:
    """Blocks, targets and the tool, in meters and radians."""

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
            self.data.qpos[start : start + 4] = x, y, 0, yaw
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
        start, self.setpoint = self.setpoint, into_workspace(setpoint)
        # Straight in joint space is straight on the table over short legs only.
        legs = max(1, int(np.ceil(np.linalg.norm(self.setpoint - start) / LEG)))
        path = [self._command]
        for leg in range(1, legs + 1):
            path.append(self._solve(start + (self.setpoint - start) * (leg / legs), path[-1]))
        self._command = path[-1]
        for k in range(SUBSTEPS):
            leg, within = divmod((k + 1) * legs / SUBSTEPS - 1e-9, 1)
            travel = path[int(leg) + 1] - path[int(leg)]
            lead = self._lead * legs / (SUBSTEPS * DT)
            self.data.ctrl[:] = path[int(leg)] + travel * (within + lead)
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
        return np.array([self.data.qpos[[start, start + 1, start + 3]] for start in self._blocks])

    @property
    def targets(self) -> Array:
        """Pose (x, y, yaw) of every target, (num_targets, 3)."""
        out = np.empty((len(self._targets), 3))
        for row, i in zip(out, self._targets, strict=True):
            row[:2] = self.data.mocap_pos[i, :2]
            row[2] = 2 * np.arctan2(self.data.mocap_quat[i, 3], self.data.mocap_quat[i, 0])
        return out
