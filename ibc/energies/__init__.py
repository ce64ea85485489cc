"""Energies: low for good actions, everywhere."""

from ibc.energies.base import Energy, EnergyFn, action_gradient
from ibc.energies.learned import LearnedEnergy

__all__ = ["Energy", "EnergyFn", "LearnedEnergy", "action_gradient"]
