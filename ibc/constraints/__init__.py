"""Hand-written constraints, as energies."""

from ibc.constraints.base import Constraint as Constraint
from ibc.constraints.base import ConstraintGroup as ConstraintGroup
from ibc.constraints.custom import Custom as Custom
from ibc.constraints.dynamics import DeltaPositionControl as DeltaPositionControl
from ibc.constraints.dynamics import PositionControl as PositionControl
from ibc.constraints.linear_dynamics import LinearDynamics as LinearDynamics
from ibc.constraints.pd_controller import PDController as PDController
from ibc.constraints.planning import Trajectory as Trajectory
from ibc.constraints.planning import WaypointGuided as WaypointGuided
from ibc.constraints.position import HalfPlane as HalfPlane
from ibc.constraints.position import JointLimits as JointLimits
from ibc.constraints.position import KeepOutBox as KeepOutBox
from ibc.constraints.position import KeepOutDisk as KeepOutDisk
from ibc.constraints.position import NearGoal as NearGoal
from ibc.constraints.position import StayWithin as StayWithin
from ibc.constraints.rate import AccelerationLimit as AccelerationLimit
from ibc.constraints.rate import ActionRateLimit as ActionRateLimit
from ibc.constraints.rate import SpeedLimit as SpeedLimit
