"""Acting step by step: history, action chunks and random numbers of each episode."""

from ibc.control.actor import Actor, PolicyActor

__all__ = [
    "Actor",
    "PolicyActor",
]
