"""Networks over action chunks that are conditioned on an observation and a noise level."""

from ibc.nn.sequence.base import SequenceNetwork as SequenceNetwork
from ibc.nn.sequence.context import SequenceContext as SequenceContext
from ibc.nn.sequence.context import noise_number as noise_number
from ibc.nn.sequence.context import scale_noisy as scale_noisy
from ibc.nn.sequence.film_mlp import FiLMMLP as FiLMMLP
from ibc.nn.sequence.temporal_unet import TemporalUNet as TemporalUNet
from ibc.nn.sequence.transformer import ChunkTransformer as ChunkTransformer
