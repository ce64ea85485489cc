"""What a network over action chunks is conditioned on: the observation and a number, such as a noise level."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

#: Frequencies at which the number enters.
FREQUENCIES = 16


class SequenceContext(nn.Module):
    """Combines features of an observation with a number between about -2 and 2: a time, or the log of a noise level.

    Energies, diffusion, flows and regression share it, so that they differ in nothing but the principle.

    Args:
        feature_size: of the observation's features.
        context_size: of what the network is conditioned on.
    """

    frequencies: Tensor

    def __init__(self, feature_size: int, context_size: int) -> None:
        super().__init__()
        self.dense_features = nn.Linear(feature_size, context_size)
        self.dense_level = nn.Linear(2 * FREQUENCIES, context_size)
        self.dense_context = nn.Linear(context_size, context_size)
        frequencies = math.pi * torch.logspace(-2, 2, FREQUENCIES, base=2.0)
        self.register_buffer("frequencies", frequencies)

    def forward(
        self, observed: Float[Tensor, "B C"], number: Float[Tensor, "B 1"]
    ) -> Float[Tensor, "B C"]:
        """Combine ``dense_features`` of an observation with a number."""
        angle = number * self.frequencies
        level = self.dense_level(torch.cat([angle.sin(), angle.cos()], -1))
        context: Tensor = F.silu(self.dense_context(F.silu(observed + level)))
        return context


def noise_number(sigma: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
    """Return ``c_noise``, the number that stands for a noise level (Karras et al. 2022, table 1)."""
    return sigma.log() / 4


def scale_noisy(
    chunk: Float[Tensor, "B N A"], sigma: Float[Tensor, "B 1"], data_std: float
) -> Float[Tensor, "B N A"]:
    """Compute ``c_in x``, whose variance is one at every level (Karras et al. 2022, table 1)."""
    return chunk * (sigma.square() + data_std**2).rsqrt().unsqueeze(1)
