"""Network parts: bodies, encoders, and the two maps between environment units and network units."""

from ibc.nn.action_bounds import ActionBounds
from ibc.nn.batched_mlp import BatchedMLP
from ibc.nn.deep_sets import DeepSetsEncoder
from ibc.nn.densities import ConditionalDensity, GaussianDensity, MixtureDensity, UniformDensity
from ibc.nn.encoders import ObsEncoder
from ibc.nn.energy_head import EnergyHead
from ibc.nn.flow import FlowDensity
from ibc.nn.mlp import ResidualMLP
from ibc.nn.normalizer import Normalizer
from ibc.nn.recurrent import RecurrentEncoder
from ibc.nn.vision.conv import (
    ConvMaxPool,
    ConvSpatialSoftmax,
    EquivariantSpatialSoftmax,
    ImageEncoder,
)
from ibc.nn.vision.spatial_softmax import SpatialSoftmax

__all__ = [
    "ActionBounds",
    "BatchedMLP",
    "ConditionalDensity",
    "ConvMaxPool",
    "ConvSpatialSoftmax",
    "DeepSetsEncoder",
    "EnergyHead",
    "EquivariantSpatialSoftmax",
    "FlowDensity",
    "GaussianDensity",
    "ImageEncoder",
    "MixtureDensity",
    "Normalizer",
    "ObsEncoder",
    "RecurrentEncoder",
    "ResidualMLP",
    "SpatialSoftmax",
    "UniformDensity",
]
