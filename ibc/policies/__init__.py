"""Policies: they act."""

from ibc.policies.base import Policy
from ibc.policies.baselines import (
    CategoricalPolicy,
    CVAEPolicy,
    DiffusionPolicy,
    MDNPolicy,
    MSEPolicy,
    NearestNeighborPolicy,
)
from ibc.policies.composed import ComposedPolicy
from ibc.policies.implicit import ImplicitPolicy
from ibc.policies.loading import load_policy
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
    "load_policy",
]
