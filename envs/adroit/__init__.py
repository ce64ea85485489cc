"""Gymnasium-Robotics' Adroit hand tasks with the reward of the original benchmark."""

from ibc_envs.adroit.reward import CorrectedReward

__all__ = [
    "CorrectedReward",
]
