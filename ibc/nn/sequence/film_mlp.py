"""A residual MLP over the flat chunk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ibc.nn.sequence.base import FiLM, SequenceNetwork, scale_and_shift, zero_linear

#: Added to variances in normalizations, as by ``nn.LayerNorm``.
EPS = 1e-5


@dataclass(eq=False, repr=False, kw_only=True)
class FiLMMLP(SequenceNetwork):
    """A pre-activation residual MLP that sees a chunk as one vector; each block is conditioned on the context.

    Args:
        width, num_blocks: of the MLP; a block has two dense layers.
    """

    width: int = 256
    num_blocks: int = 3

    def build(self, action_dim: int, action_horizon: int, context_size: int) -> None:
        width, size = self.width, action_dim * action_horizon
        self.dense_in = nn.Linear(size, width)
        self.films = nn.ModuleList(FiLM(width, context_size) for _ in range(self.num_blocks))
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
            for _ in range(self.num_blocks)
        )
        self.film_out = FiLM(width, context_size)
        self.dense_out = zero_linear(width, size)

    def forward(self, chunk: Tensor, modulations: Sequence[Tensor]) -> Tensor:
        *inner, last = modulations
        h = self.dense_in(chunk)
        for film, block, modulation in zip(self.films, self.blocks, inner, strict=True):
            h = h + block(F.silu(film(h, modulation)))
        out: Tensor = self.dense_out(F.silu(self.film_out(h, last)))
        return out

    def output_and_transposed(
        self, chunk: Tensor, modulations: Sequence[Tensor], vector: Tensor
    ) -> tuple[Tensor, Tensor]:
        """See :class:`SequenceNetwork`; written out, which takes a fraction of the operations of differentiation."""
        *inner, last = modulations
        h = self.dense_in(chunk)
        passed: list[tuple[_Normalized, Tensor, Tensor, Tensor]] = []
        for block, modulation in zip(self.blocks, inner, strict=True):
            first, _, second = block.children()
            assert isinstance(first, nn.Linear)
            assert isinstance(second, nn.Linear)
            normalized = _Normalized(h, modulation)
            hidden: Tensor = first(F.silu(normalized.out))
            h = h + second(F.silu(hidden))
            passed.append((normalized, hidden, first.weight, second.weight))
        normalized = _Normalized(h, last)
        out = self.dense_out(F.silu(normalized.out))
        slope = normalized.transposed(vector @ self.dense_out.weight)
        for normalized, hidden, w1, w2 in reversed(passed):
            slope = slope + normalized.transposed(silu_transposed(slope @ w2, hidden) @ w1)
        return out, slope @ self.dense_in.weight


class _Normalized:
    """The output of a :class:`FiLM` layer, and the way back through it and the activation behind it."""

    def __init__(self, h: Tensor, modulation: Tensor) -> None:
        scale, shift = scale_and_shift(modulation, h.dim())
        self.h, self.scale = h, 1 + scale
        norm, self.mean, self.rstd = torch.native_layer_norm(h, h.shape[-1:], None, None, EPS)
        self.out = norm * self.scale + shift

    def transposed(self, vector: Tensor) -> Tensor:
        """``J^T vector`` with J the derivative of ``silu(out)`` by ``h``."""
        slope = silu_transposed(vector, self.out) * self.scale
        grad: Tensor = torch.ops.aten.native_layer_norm_backward(
            slope, self.h, self.h.shape[-1:], self.mean, self.rstd, None, None, [True, False, False]
        )[0]
        return grad


def silu_transposed(vector: Tensor, x: Tensor) -> Tensor:
    """``J^T vector`` with J the derivative of ``silu(x)``; the operation of torch has no derivative of its own."""
    if torch.is_grad_enabled():
        gate = torch.sigmoid(x)
        return vector * gate * (1 + x * (1 - gate))
    slope: Tensor = torch.ops.aten.silu_backward(vector, x)
    return slope
