"""Energies: low for good actions, everywhere."""

from ibc.energies.base import Energy, EnergyFn, action_gradient, coarse
from ibc.energies.learned import BoundEnergy, LearnedEnergy

__all__ = ["BoundEnergy", "Energy", "EnergyFn", "LearnedEnergy", "action_gradient", "coarse"]
