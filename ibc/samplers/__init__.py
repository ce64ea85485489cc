"""Searches of an energy for low actions, and samplers of its density."""

from ibc.samplers.accelerated_descent import AcceleratedDescent
from ibc.samplers.annealed_langevin import AnnealedLangevin
from ibc.samplers.autoregressive_dfo import AutoregressiveDFO
from ibc.samplers.base import Candidates, Sampler, score
from ibc.samplers.chain import Chain
from ibc.samplers.dfo import DFO
from ibc.samplers.gradient_descent import GradientDescent
from ibc.samplers.hmc import HMC
from ibc.samplers.langevin import IBCLangevin
from ibc.samplers.mala import MALA
from ibc.samplers.modes import Modes, find_modes
from ibc.samplers.probability_flow import ProbabilityFlow
from ibc.samplers.tempering import Tempering
from ibc.samplers.ula import ULA

__all__ = [
    "DFO",
    "HMC",
    "MALA",
    "ULA",
    "AcceleratedDescent",
    "AnnealedLangevin",
    "AutoregressiveDFO",
    "Candidates",
    "Chain",
    "GradientDescent",
    "IBCLangevin",
    "Modes",
    "ProbabilityFlow",
    "Sampler",
    "Tempering",
    "find_modes",
    "score",
]
