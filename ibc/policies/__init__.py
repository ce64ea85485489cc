"""Policies: they act."""

from ibc.policies.actor import Actor, PolicyActor
from ibc.policies.base import Policy
from ibc.policies.composed import ComposedPolicy
from ibc.policies.explicit import MDNPolicy, MSEPolicy
from ibc.policies.implicit import ImplicitPolicy

__all__ = [
    "Actor",
    "ComposedPolicy",
    "ImplicitPolicy",
    "MDNPolicy",
    "MSEPolicy",
    "Policy",
    "PolicyActor",
]
