"""Network parts: bodies, encoders, and the two maps between environment units and network units."""

from ibc.nn.action_bounds import ActionBounds as ActionBounds
from ibc.nn.batched_mlp import BatchedMLP as BatchedMLP
from ibc.nn.deep_sets import DeepSetsEncoder as DeepSetsEncoder
from ibc.nn.deep_sets import default_encoder as default_encoder
from ibc.nn.densities import ConditionalDensity as ConditionalDensity
from ibc.nn.densities import GaussianDensity as GaussianDensity
from ibc.nn.densities import MixtureDensity as MixtureDensity
from ibc.nn.encoders import ObsEncoder as ObsEncoder
from ibc.nn.energy_head import EnergyHead as EnergyHead
from ibc.nn.flow import FlowDensity as FlowDensity
from ibc.nn.mlp import ResidualMLP as ResidualMLP
from ibc.nn.module import Module as Module
from ibc.nn.normalizer import Normalizer as Normalizer
from ibc.nn.recurrent import RecurrentEncoder as RecurrentEncoder
from ibc.nn.vision.backbone import BackboneEncoder as BackboneEncoder
from ibc.nn.vision.backbone import TorchvisionBackbone as TorchvisionBackbone
from ibc.nn.vision.conv import ConvMaxPool as ConvMaxPool
from ibc.nn.vision.conv import ConvSpatialSoftmax as ConvSpatialSoftmax
from ibc.nn.vision.conv import EquivariantSpatialSoftmax as EquivariantSpatialSoftmax
from ibc.nn.vision.conv import ImageEncoder as ImageEncoder
from ibc.nn.vision.conv import SpatialSoftmax as SpatialSoftmax
