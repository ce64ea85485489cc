"""Networks over action chunks that are conditioned on an observation and a noise level."""

from ibc.nn.sequence.base import SequenceNetwork
from ibc.nn.sequence.context import SequenceContext, noise_number, scale_noisy
from ibc.nn.sequence.film_mlp import FiLMMLP
from ibc.nn.sequence.temporal_unet import TemporalUNet
from ibc.nn.sequence.transformer import ChunkTransformer

__all__ = [
    "ChunkTransformer",
    "FiLMMLP",
    "SequenceContext",
    "SequenceNetwork",
    "TemporalUNet",
    "noise_number",
    "scale_noisy",
]
