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
from ibc.losses.flow import EnergyMatching, EquilibriumMatching, FlowMatching
from ibc.losses.info_nce import InfoNCE, PrefixInfoNCE, RankingNCE, info_nce, ranking_nce
from ibc.losses.interpolating import InterpolatingRankingNCE
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
from ibc.losses.sequence_regression import ImplicitMaximumLikelihood, TwoStepRegression
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
    "EnergyMatching",
    "EquilibriumMatching",
    "FlowMatching",
    "GradientPenalty",
    "ImplicitMaximumLikelihood",
    "InfoNCE",
    "InterpolatingRankingNCE",
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
    "TwoStepRegression",
    "UniformNegatives",
    "Unrolled",
    "gradient_penalty",
    "info_nce",
    "ranking_nce",
]
