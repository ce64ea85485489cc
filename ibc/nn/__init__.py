"""Network parts: bodies, encoders, and the two maps between environment units and network units."""

from ibc.nn.bounds import ActionBounds
from ibc.nn.encoders import ObsEncoder
from ibc.nn.energy_head import EnergyHead
from ibc.nn.image_encoders import ConvMaxPool, ConvSpatialSoftmax, ImageEncoder
from ibc.nn.mlp import ResidualMLP
from ibc.nn.normalizer import Normalizer
from ibc.nn.spatial_softmax import SpatialSoftmax

__all__ = [
    "ActionBounds",
    "ConvMaxPool",
    "ConvSpatialSoftmax",
    "EnergyHead",
    "ImageEncoder",
    "Normalizer",
    "ObsEncoder",
    "ResidualMLP",
    "SpatialSoftmax",
]
