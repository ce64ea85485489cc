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
from ibc.energies.box import Box
from ibc.energies.mlp import BoundEnergy, MLPEnergy
from ibc.energies.network import NetworkEnergy
from ibc.energies.noise_conditioned import BoundNoiseConditioned, NoiseConditionedEnergy
from ibc.energies.typical_set import TypicalSet

__all__ = [
    "AutoregressiveEnergy",
    "BoundEnergy",
    "BoundNoiseConditioned",
    "Box",
    "Energy",
    "EnergyFn",
    "HasFeasible",
    "HasPrefix",
    "MLPEnergy",
    "NetworkEnergy",
    "NoiseConditionedEnergy",
    "TypicalSet",
    "action_gradient",
    "low_precision",
]
