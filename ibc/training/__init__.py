"""Gradient steps and run folders."""

from ibc.training.default_loss import default_loss
from ibc.training.trainer import Trainer

__all__ = [
    "Trainer",
    "default_loss",
]
