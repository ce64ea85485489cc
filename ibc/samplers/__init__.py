"""Procedures that search an energy for good actions."""

from ibc.samplers.base import Candidates, Sampler, uniform_proposal
from ibc.samplers.chain import Chain
from ibc.samplers.dfo import DFO
from ibc.samplers.langevin import Langevin

__all__ = ["DFO", "Candidates", "Chain", "Langevin", "Sampler", "uniform_proposal"]
