"""A transformer over the steps of a chunk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ibc.component import check_positive
from ibc.errors import UserError
from ibc.nn.sequence.base import FiLM, SequenceNetwork, zero_linear


@dataclass(eq=False, repr=False, kw_only=True)
class ChunkTransformer(SequenceNetwork):
    """Self-attention among the actions of a chunk, every layer conditioned on the context (Peebles and Xie 2023).

    Args:
        width: of a token; there is one for each action.
        num_layers, num_heads: of the transformer.

    Raises:
        UserError: the width is not a multiple of the number of heads, or there is none.
    """

    width: int = 128
    num_layers: int = 3
    num_heads: int = 4

    def __post_init__(self) -> None:
        check_positive(self, "num_heads")
        if self.width % self.num_heads:
            raise UserError(
                f"width={self.width}; it must be a multiple of num_heads={self.num_heads}"
            )

    def build(self, action_dim: int, action_horizon: int, context_size: int) -> None:
        width = self.width
        self.action_dim = action_dim
        self.dense_in = nn.Linear(action_dim, width)
        self.positions = nn.Parameter(0.1 * torch.randn(action_horizon, width))
        self.layers = nn.ModuleList(
            TransformerLayer(width, self.num_heads, context_size) for _ in range(self.num_layers)
        )
        self.film_out = FiLM(width, context_size)
        self.dense_out = zero_linear(width, action_dim)

    def forward(self, chunk: Tensor, modulations: Sequence[Tensor]) -> Tensor:
        h = self.dense_in(chunk.reshape(*chunk.shape[:2], -1, self.action_dim)) + self.positions
        each = iter(modulations)
        for layer in self.layers:
            h = layer(h, next(each), next(each))
        out: Tensor = self.dense_out(F.silu(self.film_out(h, next(each)))).flatten(-2)
        return out


class TransformerLayer(nn.Module):
    """Attention and an MLP, each after a conditioned normalization.

    Attention is written as products, since PyTorch's fused one cannot be differentiated twice.
    """

    def __init__(self, width: int, num_heads: int, context_size: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.film1 = FiLM(width, context_size)
        self.film2 = FiLM(width, context_size)
        self.dense_qkv = nn.Linear(width, 3 * width)
        self.dense_attended = nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width)
        )

    def forward(
        self,
        h: Float[Tensor, "B N T W"],
        first: Float[Tensor, "B W2"],
        second: Float[Tensor, "B W2"],
    ) -> Float[Tensor, "B N T W"]:
        """Tokens to tokens, with the modulations of the two normalizations."""
        qkv = self.dense_qkv(self.film1(h, first)).unflatten(-1, (3, self.num_heads, -1))
        q, k, v = qkv.transpose(2, 4).unbind(3)  # (B, N, heads, T, W / heads)
        weights = torch.softmax(q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5, -1)
        h = h + self.dense_attended((weights @ v).transpose(2, 3).flatten(-2))
        residual: Tensor = self.mlp(self.film2(h, second))
        return h + residual
