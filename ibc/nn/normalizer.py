"""Standardisation of vector observations, kept with the weights of the network that needs it."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

#: A dimension whose standard deviation is below this part of its magnitude carries no information in the data. It is
#: centred but not stretched: otherwise a tiny deviation in closed loop becomes a huge input.
CONSTANT = 1e-6


class Normalizer(nn.Module):
    """``(x - mean) / scale`` for observations of one name, with statistics pooled over time.

    ``sqrt_std`` divides by the square root of the standard deviation, as the official code does for energies on D4RL
    (google-research/ibc, ``use_sqrt_std``).
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, size: int, *, sqrt_std: bool = False) -> None:
        super().__init__()
        self.sqrt_std = sqrt_std
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("scale", torch.ones(size))

    @torch.no_grad()
    def fit(self, obs: Float[Tensor, "M D"]) -> None:
        """Set the statistics from observations in environment units."""
        obs = obs.double()  # a sum over millions of float32 rows loses digits
        mean, std = obs.mean(0), obs.std(0, correction=0)
        constant = std <= CONSTANT * mean.abs().clamp(min=1.0)
        scale = std.sqrt() if self.sqrt_std else std
        self.mean.copy_(mean)
        self.scale.copy_(torch.where(constant, torch.ones_like(scale), scale))

    def forward(self, obs: Float[Tensor, "... D"]) -> Float[Tensor, "... D"]:
        """Environment units to network units."""
        return (obs - self.mean) / self.scale

    def inverse(self, obs: Float[Tensor, "... D"]) -> Float[Tensor, "... D"]:
        """Network units to environment units."""
        return obs * self.scale + self.mean
