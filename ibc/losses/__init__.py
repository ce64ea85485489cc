"""Training objectives."""

from ibc.losses.base import Loss
from ibc.losses.combined import Combined
from ibc.losses.contrastive import ContrastiveDivergence
from ibc.losses.edm import EDMDenoising, EDMScoreMatching
from ibc.losses.explicit import (
    ELBO,
    MSE,
    NegativeLogLikelihood,
    NeighborRegression,
    NoisePrediction,
)
from ibc.losses.info_nce import InfoNCE, PrefixInfoNCE, RankingNCE, info_nce, ranking_nce
from ibc.losses.negatives import (
    NeighborNegatives,
    ReplayedNegatives,
    SampledNegatives,
    UniformNegatives,
)
from ibc.losses.regularizers import (
    EnergyMagnitude,
    GradientPenalty,
    PathPenalty,
    gradient_penalty,
)
from ibc.losses.score_matching import DenoisingScoreMatching, NoiseConditionedScoreMatching
from ibc.losses.unrolled import Unrolled

__all__ = [
    "ELBO",
    "MSE",
    "Combined",
    "ContrastiveDivergence",
    "DenoisingScoreMatching",
    "EDMDenoising",
    "EDMScoreMatching",
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
