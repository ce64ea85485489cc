"""Searches of an energy for low actions, and samplers of its density."""

from ibc.samplers.accelerated_descent import AcceleratedDescent as AcceleratedDescent
from ibc.samplers.annealed_langevin import AnnealedLangevin as AnnealedLangevin
from ibc.samplers.anytime import Anytime as Anytime
from ibc.samplers.autoregressive_dfo import AutoregressiveDFO as AutoregressiveDFO
from ibc.samplers.base import Candidates as Candidates
from ibc.samplers.base import Sampler as Sampler
from ibc.samplers.base import score as score
from ibc.samplers.chain import Chain as Chain
from ibc.samplers.dfo import DFO as DFO
from ibc.samplers.gradient_descent import GradientDescent as GradientDescent
from ibc.samplers.gradient_descent import IBCLangevin as IBCLangevin
from ibc.samplers.hmc import HMC as HMC
from ibc.samplers.hmc import MALA as MALA
from ibc.samplers.modes import Modes as Modes
from ibc.samplers.modes import find_modes as find_modes
from ibc.samplers.probability_flow import ProbabilityFlow as ProbabilityFlow
from ibc.samplers.tempering import Tempering as Tempering
from ibc.samplers.ula import ULA as ULA
