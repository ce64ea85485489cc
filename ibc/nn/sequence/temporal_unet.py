"""A small U-Net of convolutions over the steps of a chunk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ibc.nn.sequence.base import FiLM, SequenceNetwork, zero_linear

_KERNEL = 5


@dataclass(eq=False, repr=False, kw_only=True)
class TemporalUNet(SequenceNetwork):
    """Convolutions over time with skip connections, as in Janner et al. 2022 and Chi et al. 2023.

    Args:
        widths: channels at each resolution; the number of steps is halved from one to the next.
    """

    widths: Sequence[int] = (64, 128)

    def build(self, action_dim: int, action_horizon: int, context_size: int) -> None:
        self.action_dim = action_dim
        sizes = [action_dim, *self.widths]
        pairs = list(pairwise(sizes))
        self.down = nn.ModuleList(TemporalBlock(a, b, context_size) for a, b in pairs)
        self.middle = TemporalBlock(sizes[-1], sizes[-1], context_size)
        ups = zip(self.widths, [self.widths[0], *self.widths[:-1]], strict=True)
        self.up = nn.ModuleList(
            TemporalBlock(2 * b, a, context_size) for b, a in reversed(list(ups))
        )
        self.dense_out = zero_linear(self.widths[0], action_dim)

    def forward(self, chunk: Tensor, modulations: Sequence[Tensor]) -> Tensor:
        batch, count, size = chunk.shape
        each = iter([modulation.repeat_interleave(count, 0) for modulation in modulations])
        h = chunk.reshape(batch * count, -1, self.action_dim)
        skips: list[Tensor] = []
        for block in self.down:
            h = block(h, next(each))
            skips.append(h)
            h = h if h.shape[1] == 1 else (h[:, 0::2] + F.pad(h, (0, 0, 0, 1))[:, 1::2]) / 2
        h = self.middle(h, next(each))
        for block, skip in zip(self.up, reversed(skips), strict=True):
            h = h.repeat_interleave(2, 1)[:, : skip.shape[1]]
            h = block(torch.cat([h, skip], -1), next(each))
        out: Tensor = self.dense_out(h).reshape(batch, count, size)
        return out


class TemporalBlock(nn.Module):
    """Two convolutions over time, the second one after a conditioned normalization, and a residual connection."""

    def __init__(self, in_size: int, out_size: int, context_size: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(in_size, out_size, _KERNEL, padding=_KERNEL // 2)
        self.film = FiLM(out_size, context_size)
        self.conv2 = nn.Conv1d(out_size, out_size, _KERNEL, padding=_KERNEL // 2)
        self.skip = nn.Linear(in_size, out_size)

    def forward(
        self, h: Float[Tensor, "M T I"], modulation: Float[Tensor, "M W2"]
    ) -> Float[Tensor, "M T O"]:
        """Steps to steps."""
        inner = self.conv1(h.transpose(1, 2)).transpose(1, 2)
        inner = F.silu(self.film(inner, modulation))
        inner = self.conv2(inner.transpose(1, 2)).transpose(1, 2)
        out: Tensor = F.silu(inner + self.skip(h))
        return out
