"""Training objectives."""

from ibc.losses.base import Loss
from ibc.losses.combined import Combined
from ibc.losses.contrastive_divergence import ContrastiveDivergence
from ibc.losses.denoising import Denoising
from ibc.losses.explicit import (
    MSE,
    EvidenceBound,
    NegativeLogLikelihood,
    NeighbourRegression,
    NoisePrediction,
)
from ibc.losses.gradient_penalty import GradientPenalty, gradient_penalty
from ibc.losses.info_nce import InfoNCE, info_nce
from ibc.losses.level_denoising import LevelDenoising
from ibc.losses.negatives import NeighbourNegatives, SampledNegatives, UniformNegatives
from ibc.losses.path_penalty import PathPenalty
from ibc.losses.prefix_nce import PrefixInfoNCE
from ibc.losses.ranking_nce import RankingNCE, ranking_nce
from ibc.losses.regularisers import EnergyMagnitude
from ibc.losses.replayed import ReplayedNegatives
from ibc.losses.unrolled import Unrolled

__all__ = [
    "MSE",
    "Combined",
    "ContrastiveDivergence",
    "Denoising",
    "EnergyMagnitude",
    "EvidenceBound",
    "GradientPenalty",
    "InfoNCE",
    "LevelDenoising",
    "Loss",
    "NegativeLogLikelihood",
    "NeighbourNegatives",
    "NeighbourRegression",
    "NoisePrediction",
    "PathPenalty",
    "PrefixInfoNCE",
    "RankingNCE",
    "ReplayedNegatives",
    "SampledNegatives",
    "UniformNegatives",
    "Unrolled",
    "gradient_penalty",
    "info_nce",
    "ranking_nce",
]
