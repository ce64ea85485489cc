"""Energies, which are low where actions are good."""

from ibc.energies.autoregressive import AutoregressiveEnergy
from ibc.energies.base import (
    BoundEnergy,
    BoundNetworkEnergy,
    Energy,
    EnergyFn,
    action_gradient,
    as_bound,
)
from ibc.energies.box import Box
from ibc.energies.mlp import BoundMLPEnergy, MLPEnergy
from ibc.energies.network import NetworkEnergy
from ibc.energies.noise_conditioned import BoundNoiseConditioned, NoiseConditionedEnergy
from ibc.energies.preconditioned import PreconditionedEnergy
from ibc.energies.sequence import SequenceEnergy
from ibc.energies.typical_set import TypicalSet
from ibc.energies.unit_space import UnitSpace

__all__ = [
    "AutoregressiveEnergy",
    "BoundEnergy",
    "BoundMLPEnergy",
    "BoundNetworkEnergy",
    "BoundNoiseConditioned",
    "Box",
    "Energy",
    "EnergyFn",
    "MLPEnergy",
    "NetworkEnergy",
    "NoiseConditionedEnergy",
    "PreconditionedEnergy",
    "SequenceEnergy",
    "TypicalSet",
    "UnitSpace",
    "action_gradient",
    "as_bound",
]
