"""Training objectives."""

from ibc.losses.base import Loss
from ibc.losses.combined import Combined
from ibc.losses.contrastive import ContrastiveDivergence
from ibc.losses.explicit import (
    ELBO,
    MSE,
    NegativeLogLikelihood,
    NeighborRegression,
    NoisePrediction,
)
from ibc.losses.gradient_penalty import GradientPenalty, gradient_penalty
from ibc.losses.info_nce import InfoNCE, info_nce
from ibc.losses.negatives import NeighborNegatives, SampledNegatives, UniformNegatives
from ibc.losses.noise_conditioned import NoiseConditionedScoreMatching
from ibc.losses.path_penalty import PathPenalty
from ibc.losses.prefix_info_nce import PrefixInfoNCE
from ibc.losses.ranking_nce import RankingNCE, ranking_nce
from ibc.losses.regularizers import EnergyMagnitude
from ibc.losses.replayed_negatives import ReplayedNegatives
from ibc.losses.score_matching import DenoisingScoreMatching
from ibc.losses.unrolled import Unrolled

__all__ = [
    "ELBO",
    "MSE",
    "Combined",
    "ContrastiveDivergence",
    "DenoisingScoreMatching",
    "EnergyMagnitude",
    "GradientPenalty",
    "InfoNCE",
    "Loss",
    "NegativeLogLikelihood",
    "NeighborNegatives",
    "NeighborRegression",
    "NoiseConditionedScoreMatching",
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
