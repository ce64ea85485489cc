"""Policies: actions for observations, with an energy or without."""

from ibc.policies.base import Policy
from ibc.policies.baselines import (
    CategoricalPolicy,
    CVAEPolicy,
    DiffusionPolicy,
    EDMPolicy,
    FlowMatchingPolicy,
    MDNPolicy,
    MSEPolicy,
    NearestNeighborPolicy,
    OneStepPolicy,
    TwoStepPolicy,
)
from ibc.policies.composed import ComposedPolicy
from ibc.policies.implicit import ImplicitPolicy
from ibc.policies.loading import load_policy
from ibc.policies.modes import ActionModes, action_modes, ood_score
from ibc.policies.verified import VerifiedPolicy

__all__ = [
    "ActionModes",
    "CVAEPolicy",
    "CategoricalPolicy",
    "ComposedPolicy",
    "DiffusionPolicy",
    "EDMPolicy",
    "FlowMatchingPolicy",
    "ImplicitPolicy",
    "MDNPolicy",
    "MSEPolicy",
    "NearestNeighborPolicy",
    "OneStepPolicy",
    "Policy",
    "TwoStepPolicy",
    "VerifiedPolicy",
    "action_modes",
    "load_policy",
    "ood_score",
]
