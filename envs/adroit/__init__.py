"""``ibc/AdroitHandDoor-v1``, ``Hammer`` and ``Relocate``: tasks of Gymnasium-Robotics with the original reward."""

from ibc_envs.adroit.reward import CorrectedReward

__all__ = [
    "CorrectedReward",
]
