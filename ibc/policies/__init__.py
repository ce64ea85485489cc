"""Policies: they act."""

from ibc.policies.actor import Actor, PolicyActor
from ibc.policies.base import Policy
from ibc.policies.explicit import MDNPolicy, MSEPolicy
from ibc.policies.implicit import ImplicitPolicy

__all__ = ["Actor", "ImplicitPolicy", "MDNPolicy", "MSEPolicy", "Policy", "PolicyActor"]
