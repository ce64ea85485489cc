"""Training objectives."""

from ibc.losses.base import Loss
from ibc.losses.combined import Combined
from ibc.losses.denoising import Denoising
from ibc.losses.explicit import MSE, NegativeLogLikelihood
from ibc.losses.gradient_penalty import GradientPenalty, gradient_penalty
from ibc.losses.info_nce import InfoNCE, info_nce
from ibc.losses.negatives import NeighbourNegatives, SampledNegatives, UniformNegatives

__all__ = [
    "MSE",
    "Combined",
    "Denoising",
    "GradientPenalty",
    "InfoNCE",
    "Loss",
    "NegativeLogLikelihood",
    "NeighbourNegatives",
    "SampledNegatives",
    "UniformNegatives",
    "gradient_penalty",
    "info_nce",
]
