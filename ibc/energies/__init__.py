"""Energies, which are low where actions are good."""

from ibc.energies.autoregressive import AutoregressiveEnergy as AutoregressiveEnergy
from ibc.energies.base import BoundEnergy as BoundEnergy
from ibc.energies.base import BoundNetworkEnergy as BoundNetworkEnergy
from ibc.energies.base import Energy as Energy
from ibc.energies.base import EnergyFn as EnergyFn
from ibc.energies.base import action_gradient as action_gradient
from ibc.energies.base import as_bound as as_bound
from ibc.energies.box import Box as Box
from ibc.energies.chunk import PreconditionedEnergy as PreconditionedEnergy
from ibc.energies.chunk import SequenceEnergy as SequenceEnergy
from ibc.energies.held import HeldSpace as HeldSpace
from ibc.energies.mlp import BoundMLPEnergy as BoundMLPEnergy
from ibc.energies.mlp import MLPEnergy as MLPEnergy
from ibc.energies.network import NetworkEnergy as NetworkEnergy
from ibc.energies.noise_conditioned import BoundNoiseConditioned as BoundNoiseConditioned
from ibc.energies.noise_conditioned import NoiseConditionedEnergy as NoiseConditionedEnergy
from ibc.energies.typical_set import TypicalSet as TypicalSet
from ibc.energies.unit_space import UnitSpace as UnitSpace
