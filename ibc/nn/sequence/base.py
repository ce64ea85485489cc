"""Define a network over action chunks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ibc.nn.module import Module


class SequenceNetwork(Module, ABC):
    """A network from action chunks and a context to as many numbers, zero before training.

    It is differentiated twice when an energy made of it is trained, so its activations are smooth. What depends on the
    context alone, the scales and shifts of its normalizations, is computed once for any number of evaluations.
    """

    @abstractmethod
    def build(self, action_dim: int, action_horizon: int, context_size: int) -> None:
        """Make the layers for chunks of ``action_horizon`` actions (D,) and contexts (C,)."""

    def modulations(self, context: Float[Tensor, "B C"]) -> list[Tensor]:
        """Compute scale and shift (B, 2 W) of each normalization, in the order in which they are made."""
        return [module.film(context) for module in self.modules() if isinstance(module, FiLM)]

    @abstractmethod
    def forward(
        self, chunk: Float[Tensor, "B N A"], modulations: Sequence[Tensor]
    ) -> Float[Tensor, "B N A"]:
        """Compute the output of N flat chunks for each context, of which ``modulations`` are given."""

    def output_and_transposed(
        self,
        chunk: Float[Tensor, "B N A"],
        modulations: Sequence[Tensor],
        vector: Float[Tensor, "B N A"],
    ) -> tuple[Float[Tensor, "B N A"], Float[Tensor, "B N A"]]:
        """Compute the output and ``J^T vector``, with J the derivative of the output by the chunk.

        By automatic differentiation unless overridden. Where gradients are enabled, both are differentiable in the
        parameters, and in chunks and vectors that require a gradient.
        """
        create_graph = torch.is_grad_enabled()
        with torch.enable_grad():
            if not (create_graph and chunk.requires_grad):
                chunk = chunk.detach().requires_grad_()
            out = self(chunk, modulations)
            (transposed,) = torch.autograd.grad(out, chunk, vector, create_graph=create_graph)
        return (out if create_graph else out.detach()), transposed


class FiLM(nn.Module):
    """Layer normalization whose scale and shift come from the context (Perez et al. 2018)."""

    def __init__(self, width: int, context_size: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.film = nn.Linear(context_size, 2 * width)

    def forward(
        self, h: Float[Tensor, "B *N W"], modulation: Float[Tensor, "B W2"]
    ) -> Float[Tensor, "B *N W"]:
        """Normalize the last dimension, then scale and shift it."""
        scale, shift = scale_and_shift(modulation, h.dim())
        out: Tensor = self.norm(h) * (1 + scale) + shift
        return out


def scale_and_shift(modulation: Float[Tensor, "B W2"], dim: int) -> tuple[Tensor, Tensor]:
    """Split a modulation into scale and shift (B, 1, ..., W) of ``dim`` dimensions."""
    middle = (1,) * (dim - 2)
    scale, shift = modulation.view(len(modulation), *middle, -1).chunk(2, -1)
    return scale, shift


def zero_linear(in_size: int, out_size: int) -> nn.Linear:
    """Make a dense layer whose output is zero before training."""
    layer = nn.Linear(in_size, out_size)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
