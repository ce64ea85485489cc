"""Hand-written constraints, as energies."""

from ibc.constraints.base import Constraint, ConstraintGroup, Custom
from ibc.constraints.dynamics import DeltaPositionControl, PDController, PositionControl
from ibc.constraints.linear_dynamics import LinearDynamics
from ibc.constraints.planning import Trajectory, WaypointGuided
from ibc.constraints.position import (
    HalfPlane,
    JointLimits,
    KeepOutBox,
    KeepOutDisk,
    NearGoal,
    StayWithin,
)
from ibc.constraints.rate import AccelerationLimit, ActionRateLimit, SpeedLimit

__all__ = [
    "AccelerationLimit",
    "ActionRateLimit",
    "Constraint",
    "ConstraintGroup",
    "Custom",
    "DeltaPositionControl",
    "HalfPlane",
    "JointLimits",
    "KeepOutBox",
    "KeepOutDisk",
    "LinearDynamics",
    "NearGoal",
    "PDController",
    "PositionControl",
    "SpeedLimit",
    "StayWithin",
    "Trajectory",
    "WaypointGuided",
]
