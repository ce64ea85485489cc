"""What a network over action chunks is conditioned on: an observation's features and a noise level."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

#: Frequencies at which the logarithm of the noise level enters.
FREQUENCIES = 16


class SequenceContext(nn.Module):
    """The inputs of ``F(c x; observation, sigma)``, with ``c = 1 / sqrt(sigma^2 + data_std^2)`` (Karras et al. 2022).

    Energies and diffusion policies share it, so that they differ in nothing but the principle.

    Args:
        feature_size: of the observation's features.
        context_size: of what the network is conditioned on.
        data_std: standard deviation of actions in the unit cube.
    """

    frequencies: Tensor

    def __init__(self, feature_size: int, context_size: int, data_std: float) -> None:
        super().__init__()
        self.data_std = data_std
        self.dense_features = nn.Linear(feature_size, context_size)
        self.dense_level = nn.Linear(2 * FREQUENCIES, context_size)
        self.dense_context = nn.Linear(context_size, context_size)
        frequencies = math.pi * torch.logspace(-2, 2, FREQUENCIES, base=2.0)
        self.register_buffer("frequencies", frequencies)

    def context(
        self, observed: Float[Tensor, "B C"], sigma: Float[Tensor, "B 1"]
    ) -> Float[Tensor, "B C"]:
        """Combine ``dense_features`` of an observation with a noise level."""
        angle = sigma.log() / 4 * self.frequencies
        level = self.dense_level(torch.cat([angle.sin(), angle.cos()], -1))
        context: Tensor = F.silu(self.dense_context(F.silu(observed + level)))
        return context

    def scaled(
        self, chunk: Float[Tensor, "B N A"], sigma: Float[Tensor, "B 1"]
    ) -> Float[Tensor, "B N A"]:
        """Compute ``c_in x``, whose variance is one at every level."""
        return chunk * (sigma.square() + self.data_std**2).rsqrt().unsqueeze(1)
