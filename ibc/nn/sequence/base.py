"""Define a network over action chunks."""

from __future__ import annotations

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor, nn

from ibc.component import Component


class SequenceNetwork(Component, nn.Module, ABC):
    """A network from noisy action chunks and a context to as many numbers, zero before training.

    It is differentiated twice when an energy made of it is trained, so its activations are smooth.
    """

    @abstractmethod
    def build(self, action_dim: int, action_horizon: int, context_size: int) -> None:
        """Make the layers for chunks of ``action_horizon`` actions (D,) and contexts (C,)."""

    @abstractmethod
    def forward(
        self, chunk: Float[Tensor, "B N A"], context: Float[Tensor, "B C"]
    ) -> Float[Tensor, "B N A"]:
        """Compute the output of N flat chunks for each context."""


class FiLM(nn.Module):
    """Layer normalization whose scale and shift come from the context (Perez et al. 2018)."""

    def __init__(self, width: int, context_size: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.film = nn.Linear(context_size, 2 * width)

    def forward(
        self, h: Float[Tensor, "B *N W"], context: Float[Tensor, "B C"]
    ) -> Float[Tensor, "B *N W"]:
        """Normalize the last dimension, then scale and shift it."""
        scale, shift = self.film(context).chunk(2, -1)
        middle = (1,) * (h.dim() - 2)
        scale, shift = (t.view(len(t), *middle, -1) for t in (scale, shift))
        out: Tensor = self.norm(h) * (1 + scale) + shift
        return out


def zero_linear(in_size: int, out_size: int) -> nn.Linear:
    """Make a dense layer whose output is zero before training."""
    layer = nn.Linear(in_size, out_size)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
