"""Several small networks of one shape, evaluated together: one for each action dimension."""

from __future__ import annotations

import builtins

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

INIT_STD = 0.05


class BatchedMLP(nn.Module):
    """``num`` pre-activation residual networks with weights of their own, as in :class:`ibc.nn.ResidualMLP`.

    The first layer is not included: inputs are ``width`` numbers each, so that whoever uses this can share it.
    """

    def __init__(self, num: int, out_size: int, *, width: int, num_blocks: int) -> None:
        super().__init__()
        self.inner = nn.ParameterList(
            INIT_STD * torch.randn(num, width, width) for _ in range(2 * num_blocks)
        )
        self.biases = nn.ParameterList(
            INIT_STD * torch.randn(num, 1, width) for _ in range(2 * num_blocks)
        )
        self.out = nn.Parameter(INIT_STD * torch.randn(num, width, out_size))
        self.out_bias = nn.Parameter(torch.zeros(num, 1, out_size))

    def forward(self, h: Float[Tensor, "D R W"]) -> Float[Tensor, "D R O"]:
        """Row r of network d's inputs to its outputs."""
        return self.slice(builtins.slice(None), h)

    def slice(
        self, which: builtins.slice | Int[Tensor, " K"], h: Float[Tensor, "K R W"]
    ) -> Float[Tensor, "K R O"]:
        """The same for a part of the networks."""
        for first in range(0, len(self.inner), 2):
            second = first + 1
            inner = F.relu(h) @ self.inner[first][which] + self.biases[first][which]
            h = h + F.relu(inner) @ self.inner[second][which] + self.biases[second][which]
        out: Tensor = h @ self.out[which] + self.out_bias[which]
        return out
