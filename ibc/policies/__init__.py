"""Policies: they act."""

from ibc.policies.base import Policy
from ibc.policies.baselines.categorical import CategoricalPolicy
from ibc.policies.baselines.cvae import CVAEPolicy
from ibc.policies.baselines.diffusion import DiffusionPolicy
from ibc.policies.baselines.explicit import MDNPolicy, MSEPolicy
from ibc.policies.baselines.nearest import NearestNeighborPolicy
from ibc.policies.composed import ComposedPolicy
from ibc.policies.implicit import ImplicitPolicy
from ibc.policies.modes import Answers, distinct_answers, doubt

__all__ = [
    "Answers",
    "CVAEPolicy",
    "CategoricalPolicy",
    "ComposedPolicy",
    "DiffusionPolicy",
    "ImplicitPolicy",
    "MDNPolicy",
    "MSEPolicy",
    "NearestNeighborPolicy",
    "Policy",
    "distinct_answers",
    "doubt",
]
