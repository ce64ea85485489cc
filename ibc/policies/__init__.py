"""Policies: they act."""

from ibc.policies.actor import Actor, PolicyActor
from ibc.policies.answers import Answers, distinct_answers, doubt
from ibc.policies.base import Policy
from ibc.policies.composed import ComposedPolicy
from ibc.policies.explicit import MDNPolicy, MSEPolicy
from ibc.policies.implicit import ImplicitPolicy

__all__ = [
    "Actor",
    "Answers",
    "ComposedPolicy",
    "ImplicitPolicy",
    "MDNPolicy",
    "MSEPolicy",
    "Policy",
    "PolicyActor",
    "distinct_answers",
    "doubt",
]
