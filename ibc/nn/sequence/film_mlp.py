"""A residual MLP over the flat chunk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from ibc.nn.sequence.base import FiLM, SequenceNetwork, zero_linear


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
