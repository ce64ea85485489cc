"""Policies to compare with: they act without an energy."""

from ibc.policies.baselines.categorical import CategoricalPolicy
from ibc.policies.baselines.cvae import CVAEPolicy
from ibc.policies.baselines.diffusion import DiffusionPolicy
from ibc.policies.baselines.edm import EDMPolicy
from ibc.policies.baselines.flow_matching import FlowMatchingPolicy
from ibc.policies.baselines.mdn import MDNPolicy
from ibc.policies.baselines.mse import MSEPolicy
from ibc.policies.baselines.nearest import NearestNeighborPolicy
from ibc.policies.baselines.one_step import OneStepPolicy
from ibc.policies.baselines.two_step import TwoStepPolicy

__all__ = [
    "CVAEPolicy",
    "CategoricalPolicy",
    "DiffusionPolicy",
    "EDMPolicy",
    "FlowMatchingPolicy",
    "MDNPolicy",
    "MSEPolicy",
    "NearestNeighborPolicy",
    "OneStepPolicy",
    "TwoStepPolicy",
]
