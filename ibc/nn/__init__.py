"""Network parts: bodies, encoders, and the two maps between environment units and network units."""

from ibc.nn.bounds import ActionBounds
from ibc.nn.densities import ConditionalDensity, GaussianDensity, MixtureDensity, UniformDensity
from ibc.nn.encoders import ObsEncoder
from ibc.nn.energy_head import EnergyHead
from ibc.nn.flow import FlowDensity
from ibc.nn.image_encoders import (
    ConvMaxPool,
    ConvSpatialSoftmax,
    EquivariantSpatialSoftmax,
    ImageEncoder,
)
from ibc.nn.mlp import ResidualMLP
from ibc.nn.normalizer import Normalizer
from ibc.nn.parallel import ParallelMLP
from ibc.nn.recurrent import RecurrentEncoder
from ibc.nn.set_encoder import SetEncoder
from ibc.nn.spatial_softmax import SpatialSoftmax

__all__ = [
    "ActionBounds",
    "ConditionalDensity",
    "ConvMaxPool",
    "ConvSpatialSoftmax",
    "EnergyHead",
    "EquivariantSpatialSoftmax",
    "FlowDensity",
    "GaussianDensity",
    "ImageEncoder",
    "MixtureDensity",
    "Normalizer",
    "ObsEncoder",
    "ParallelMLP",
    "RecurrentEncoder",
    "ResidualMLP",
    "SetEncoder",
    "SpatialSoftmax",
    "UniformDensity",
]
