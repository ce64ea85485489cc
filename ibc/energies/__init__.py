"""Energies: low for good actions, everywhere."""

from ibc.energies.autoregressive import AutoregressiveEnergy
from ibc.energies.base import Energy, EnergyFn, HasFeasible, HasPrefix, action_gradient, coarse
from ibc.energies.bound_terms import BoundComposition
from ibc.energies.box import Box
from ibc.energies.compose import AllOf, AnyOf, Not
from ibc.energies.constraint import Constraint, Custom
from ibc.energies.constraints import (
    HalfPlane,
    JointLimits,
    KeepOutBox,
    KeepOutDisk,
    NearGoal,
    StayWithin,
)
from ibc.energies.forward import Delta, SetPoint, SpringDamper
from ibc.energies.learned import BoundEnergy, LearnedEnergy
from ibc.energies.learned_step import LearnedStep
from ibc.energies.levels import HasLevels, LeveledEnergy
from ibc.energies.network import HasStart, NetworkEnergy
from ibc.energies.rate_constraints import AccelerationLimit, Smooth, SpeedLimit
from ibc.energies.trajectory import ByWay, Trajectory
from ibc.energies.typical import Typical

__all__ = [
    "AccelerationLimit",
    "AllOf",
    "AnyOf",
    "AutoregressiveEnergy",
    "BoundComposition",
    "BoundEnergy",
    "Box",
    "ByWay",
    "Constraint",
    "Custom",
    "Delta",
    "Energy",
    "EnergyFn",
    "HalfPlane",
    "HasFeasible",
    "HasLevels",
    "HasPrefix",
    "HasStart",
    "JointLimits",
    "KeepOutBox",
    "KeepOutDisk",
    "LearnedEnergy",
    "LearnedStep",
    "LeveledEnergy",
    "NearGoal",
    "NetworkEnergy",
    "Not",
    "SetPoint",
    "Smooth",
    "SpeedLimit",
    "SpringDamper",
    "StayWithin",
    "Trajectory",
    "Typical",
    "action_gradient",
    "coarse",
]
