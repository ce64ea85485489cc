"""Policies: they act."""

from ibc.policies.actor import Actor, PolicyActor
from ibc.policies.answers import Answers, distinct_answers, doubt
from ibc.policies.base import Policy
from ibc.policies.categorical import CategoricalPolicy
from ibc.policies.composed import ComposedPolicy
from ibc.policies.diffusion import DiffusionPolicy
from ibc.policies.explicit import MDNPolicy, MSEPolicy
from ibc.policies.implicit import ImplicitPolicy
from ibc.policies.nearest import NearestNeighbourPolicy
from ibc.policies.variational import VariationalPolicy

__all__ = [
    "Actor",
    "Answers",
    "CategoricalPolicy",
    "ComposedPolicy",
    "DiffusionPolicy",
    "ImplicitPolicy",
    "MDNPolicy",
    "MSEPolicy",
    "NearestNeighbourPolicy",
    "Policy",
    "PolicyActor",
    "VariationalPolicy",
    "distinct_answers",
    "doubt",
]
