"""Acting step by step: history, action chunks and the random numbers of each episode."""

from ibc.control.actor import Actor, FunctionExpert
from ibc.control.asynchronous import AsynchronousController
from ibc.control.confidence import InDoubt
from ibc.control.controller import Controller
from ibc.control.policy_actor import PolicyActor

__all__ = [
    "Actor",
    "AsynchronousController",
    "Controller",
    "FunctionExpert",
    "InDoubt",
    "PolicyActor",
]
