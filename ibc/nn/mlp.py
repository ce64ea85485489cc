"""Pre-activation residual networks, the body of every policy here."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


def initialize(module: nn.Module, std: float = 0.05) -> None:
    """Draw all weights *and biases* of dense layers from N(0, std^2), as the official networks do.

    (google-research/ibc, ``networks/layers/resnet.py``; zero biases leave an energy without kinks in the action.)
    """
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=std)
            if layer.bias is not None:
                nn.init.normal_(layer.bias, std=std)


class ResidualBlock(nn.Module):
    """``h + W2 relu(W1 relu(h) + b1) + b2``, with dropout after each rectifier."""

    def __init__(self, width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dense1 = nn.Linear(width, width)
        self.dense2 = nn.Linear(width, width)
        self.dropout = dropout

    def forward(self, h: Float[Tensor, "... W"]) -> Float[Tensor, "... W"]:
        """Features to features."""
        inner = self.dense1(F.dropout(F.relu(h), self.dropout, self.training))
        residual: Tensor = self.dense2(F.dropout(F.relu(inner), self.dropout, self.training))
        return h + residual


class ResidualMLP(nn.Module):
    """Dense, ``num_blocks`` residual blocks, dense: "depth 8" in the papers is four blocks here.

    There is no activation at the end: it would flatten an energy's tails (IBC paper, appendix B.3).
    """

    def __init__(
        self, in_size: int, out_size: int, *, width: int, num_blocks: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.dense_in = nn.Linear(in_size, width)
        self.blocks = nn.ModuleList(ResidualBlock(width, dropout) for _ in range(num_blocks))
        self.dense_out = nn.Linear(width, out_size)
        initialize(self)

    def forward(self, x: Float[Tensor, "... I"]) -> Float[Tensor, "... O"]:
        """Any batch shape."""
        h = self.dense_in(x)
        for block in self.blocks:
            h = block(h)
        out: Tensor = self.dense_out(h)
        return out
