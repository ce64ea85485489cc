"""Energies: low for good actions, everywhere."""

from ibc.energies.autoregressive import AutoregressiveEnergy
from ibc.energies.base import (
    Energy,
    EnergyFn,
    HasFeasible,
    HasPrefix,
    action_gradient,
    low_precision,
)
from ibc.energies.bound_composition import BoundComposition
from ibc.energies.box import Box
from ibc.energies.composition import AllOf, AnyOf, Not
from ibc.energies.mlp import BoundEnergy, MLPEnergy
from ibc.energies.network import HasStart, NetworkEnergy
from ibc.energies.noise_conditioned import HasLevels, NoiseConditionedEnergy
from ibc.energies.typical_set import TypicalSet

__all__ = [
    "AllOf",
    "AnyOf",
    "AutoregressiveEnergy",
    "BoundComposition",
    "BoundEnergy",
    "Box",
    "Energy",
    "EnergyFn",
    "HasFeasible",
    "HasLevels",
    "HasPrefix",
    "HasStart",
    "MLPEnergy",
    "NetworkEnergy",
    "NoiseConditionedEnergy",
    "Not",
    "TypicalSet",
    "action_gradient",
    "low_precision",
]
