"""An arm with the kinematics of the xArm 7, built from capsules, and its inverse kinematics."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import mujoco

Array = NDArray[np.float64]

#: Pose of each joint's frame in the one before, (x, y, z) in m and rotation about x in quarter turns; joints turn about
#: z. Published in the manufacturer's description (xArm-Developer/xarm_ros, xarm_description, xArm 7).
JOINTS = (
    ((0.0, 0.0, 0.267), 0),
    ((0.0, 0.0, 0.0), -1),
    ((0.0, -0.293, 0.0), 1),
    ((0.0525, 0.0, 0.0), 1),
    ((0.0775, -0.3425, 0.0), 1),
    ((0.0, 0.0, 0.0), 1),
    ((0.076, 0.097, 0.0), -1),
)
#: Limits of the joints (rad), from the same place.
LIMITS = (
    (-2 * math.pi, 2 * math.pi),
    (-2.059, 2.0944),
    (-2 * math.pi, 2 * math.pi),
    (-0.19198, 3.927),
    (-2 * math.pi, 2 * math.pi),
    (-1.69297, math.pi),
    (-2 * math.pi, 2 * math.pi),
)
#: A posture with the tool pointing down, which the inverse kinematics prefers.
REST = np.array([-0.9, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0])
#: From the flange to the end of the tool's rod.
TOOL_OFFSET = 0.14

#: Stiffness (N m/rad) and damping (N m s/rad) of the joints; each has the armature below, so that all respond alike.
#: The torque suffices to follow any set-point, and is too small to crush a block.
KP, KV, ARMATURE, TORQUE = 120.0, 2.4, 0.012, 10.0
#: Damping of the least squares, weight of the preferred posture, greatest step (rad) and number of iterations.
DAMPING, POSTURE, MAX_STEP, ITERATIONS = 1e-4, 0.02, 0.3, 4

ACTUATORS = "".join(
    f'<position name="joint{i}" joint="joint{i}" kp="{KP}" kv="{KV}" forcerange="-{TORQUE} {TORQUE}"/>'
    for i in range(len(JOINTS))
)

#: Capsules that stand for the links: joint, from, to, radius, material.
_LINKS = (
    (0, (0, 0, -0.14), (0, 0, 0.0), 0.048, "shell"),
    (1, (0, 0, -0.03), (0, 0, 0.03), 0.052, "metal"),
    (1, (0, 0, 0), (0, -0.24, 0), 0.042, "shell"),
    (2, (0, 0, -0.03), (0.0525, 0, 0.0), 0.040, "shell"),
    (3, (0, 0, -0.035), (0, 0, 0.035), 0.044, "metal"),
    (3, (0, 0, 0), (0.0775, -0.12, 0), 0.036, "shell"),
    (4, (0, 0, -0.22), (0, 0, 0), 0.034, "shell"),
    (5, (0, 0, -0.02), (0, 0, 0.02), 0.036, "metal"),
    (5, (0, 0, 0), (0.076, 0.04, 0), 0.030, "shell"),
    (6, (0, 0, -0.06), (0, 0, -0.02), 0.032, "metal"),
)


def body_xml(tool: str) -> str:
    """Nested bodies from the base to the tool."""
    inside = f"""
      <body name="tool" pos="0 0 {TOOL_OFFSET}" quat="0 1 0 0" gravcomp="1">
        <inertial pos="0 0 0.05" mass="0.02" diaginertia="1e-5 1e-5 1e-5"/>{tool}
      </body>"""
    for i in reversed(range(len(JOINTS))):
        (x, y, z), quarter = JOINTS[i]
        half = quarter * math.pi / 4
        links = "".join(
            f'<geom class="seen" type="capsule" size="{radius}" material="{material}" fromto="{_join(a)} {_join(b)}"/>'
            for j, a, b, radius, material in _LINKS
            if j == i
        )
        inside = f"""
    <body name="link{i}" pos="{x} {y} {z}" quat="{math.cos(half)} {math.sin(half)} 0 0" gravcomp="1">
      <inertial pos="0 0 0" mass="0.02" diaginertia="1e-5 1e-5 1e-5"/>
      <joint name="joint{i}" axis="0 0 1" range="{LIMITS[i][0]} {LIMITS[i][1]}" armature="{ARMATURE}"/>
      {links}{inside}
    </body>"""
    base = '<geom class="seen" type="cylinder" size="0.06 0.06" pos="0 0 0.06" material="metal"/>'
    return base + inside


def _join(point: tuple[float, ...]) -> str:
    return " ".join(str(x) for x in point)


class InverseKinematics:
    """Joint angles that hold the tool upright with its tip at a point, by damped least squares."""

    def __init__(self, model: mujoco.MjModel) -> None:
        import mujoco

        self._mujoco, self._model, self._data = mujoco, model, mujoco.MjData(model)
        joints = [model.joint(f"joint{i}") for i in range(len(JOINTS))]
        self._qpos = np.array([joint.qposadr[0] for joint in joints])
        self._dof = np.array([joint.dofadr[0] for joint in joints])
        self._tip = model.site("tip").id
        self._jac = np.zeros((2, 3, model.nv))
        self._low, self._high = np.array(LIMITS).T

    def solve(self, point: Array, start: Array, iterations: int = ITERATIONS) -> Array:
        """Angles (7,) for the tip at ``point`` (3,), searched from the angles ``start``."""
        q = start.copy()
        for _ in range(iterations):
            self._data.qpos[self._qpos] = q
            self._mujoco.mj_kinematics(self._model, self._data)
            self._mujoco.mj_comPos(self._model, self._data)
            self._mujoco.mj_jacSite(self._model, self._data, self._jac[0], self._jac[1], self._tip)
            up = self._data.site_xmat[self._tip].reshape(3, 3)[:, 2]
            # Only the direction of the rod matters, not the turn about it: two of three rotations.
            jac = np.concatenate([self._jac[0], self._jac[1, :2]])[:, self._dof]
            error = np.concatenate([point - self._data.site_xpos[self._tip], [up[1], -up[0]]])
            gram = jac @ jac.T + DAMPING * np.eye(5)
            posture = POSTURE * (REST - q)
            posture[0] = 0.0  # the base turns to where the tip is
            step = posture + jac.T @ np.linalg.solve(gram, error - jac @ posture)
            q = np.clip(q + np.clip(step, -MAX_STEP, MAX_STEP), self._low, self._high)
        return q
