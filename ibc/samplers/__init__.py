"""Procedures that search an energy for good actions."""

from ibc.samplers.annealed_langevin import AnnealedLangevin
from ibc.samplers.autoregressive_dfo import AutoregressiveDFO
from ibc.samplers.base import Candidates, Sampler, uniform_proposal
from ibc.samplers.chain import Chain
from ibc.samplers.dfo import DFO
from ibc.samplers.hamiltonian import Hamiltonian
from ibc.samplers.langevin import Langevin
from ibc.samplers.metropolis_langevin import MetropolisLangevin
from ibc.samplers.modes import Modes, find_modes
from ibc.samplers.tempering import Tempering
from ibc.samplers.textbook_langevin import TextbookLangevin

__all__ = [
    "DFO",
    "AnnealedLangevin",
    "AutoregressiveDFO",
    "Candidates",
    "Chain",
    "Hamiltonian",
    "Langevin",
    "MetropolisLangevin",
    "Modes",
    "Sampler",
    "Tempering",
    "TextbookLangevin",
    "find_modes",
    "uniform_proposal",
]
