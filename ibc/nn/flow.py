"""A conditional normalizing flow on the unit cube, made of monotone splines."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ibc.nn.densities import ConditionalDensity
from ibc.nn.mlp import ResidualMLP
from ibc.random import RandomSource

#: The flow lives on [-LIMIT, LIMIT], a little more than any search box.
LIMIT = 1.25
#: No bin of a spline is narrower or flatter than this part of its even share.
MIN_SHARE = 0.02
MIN_SLOPE = 1e-2


@dataclass(eq=False, repr=False, kw_only=True)
class FlowDensity(ConditionalDensity):
    """Coupling layers of rational-quadratic splines over a uniform base (Durkan et al. 2019, section 3).

    Each layer bends half of the dimensions, in a way that depends on the observation and on the other half. The base
    is uniform and every layer maps the cube onto itself, so all draws lie in it; with one action dimension each layer
    is a spline that depends on the observation alone.

    Args:
        num_layers: couplings; the bent half alternates.
        num_bins: of each spline.
        width, num_blocks: of the network in each layer.
    """

    num_layers: int = 4
    num_bins: int = 8
    width: int = 64
    num_blocks: int = 1

    def build(self, feature_size: int, action_size: int) -> None:
        self.size = action_size
        # The derivatives at both ends are one, so that there are as many inner ones as bins less one.
        self.layers = nn.ModuleList(
            ResidualMLP(
                feature_size + action_size,
                action_size * (3 * self.num_bins - 1),
                width=self.width,
                num_blocks=self.num_blocks,
            )
            for _ in range(self.num_layers)
        )

    def log_prob(self, features: Tensor, unit_action: Tensor) -> Tensor:
        """See :class:`ConditionalDensity`; outside the cube, the density at its nearest point."""
        x = unit_action.clamp(-LIMIT, LIMIT)
        total = x.new_full(x.shape[:-1], -self.size * math.log(2 * LIMIT))
        for i in reversed(range(len(self.layers))):
            bent = self._bent(i, x)
            y, slope = spline(x, *self._knots(i, features, x, bent), inverse=True)
            x = torch.where(bent, y, x)
            total = total + torch.where(bent, slope, torch.zeros_like(slope)).sum(-1)
        return total

    @torch.no_grad()
    def sample(self, features: Tensor, count: int, rng: RandomSource) -> Tensor:
        x = LIMIT * (2 * rng.uniform(len(features), count, self.size) - 1)
        for i in range(len(self.layers)):
            bent = self._bent(i, x)
            y, _ = spline(x, *self._knots(i, features, x, bent), inverse=False)
            x = torch.where(bent, y, x)
        return x

    def _bent(self, i: int, x: Tensor) -> Bool[Tensor, " A"]:
        if self.size == 1:
            return torch.ones(1, dtype=torch.bool, device=x.device)
        return (torch.arange(self.size, device=x.device) + i) % 2 == 0

    def _knots(
        self,
        i: int,
        features: Float[Tensor, "B F"],
        x: Float[Tensor, "B N A"],
        bent: Bool[Tensor, " A"],
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Widths and heights of the bins and logarithms of the slopes at their ends, for each dimension."""
        seen = torch.cat([features.unsqueeze(1).expand(-1, x.shape[1], -1), x * ~bent], -1)
        raw = self.layers[i](seen).view(*x.shape, 3 * self.num_bins - 1)
        k = self.num_bins
        width, height, inner = torch.split(raw, [k, k, k - 1], -1)
        # At the start all slopes are near one and the flow is near the identity.
        slope = MIN_SLOPE + F.softplus(inner + math.log(math.e - 1))
        slope = F.pad(slope, (1, 1), value=1.0)
        return _shares(width), _shares(height), slope


def _shares(raw: Float[Tensor, "B N A K"]) -> Float[Tensor, "B N A K"]:
    share = MIN_SHARE / raw.shape[-1] + (1 - MIN_SHARE) * torch.softmax(raw, -1)
    return 2 * LIMIT * share


def spline(
    x: Float[Tensor, "B N A"],
    width: Float[Tensor, "B N A K"],
    height: Float[Tensor, "B N A K"],
    slope: Float[Tensor, "B N A K1"],
    *,
    inverse: bool,
) -> tuple[Float[Tensor, "B N A"], Float[Tensor, "B N A"]]:
    """The monotone rational-quadratic spline through the knots, and the logarithm of its derivative at ``x``.

    (Gregory and Delbourgo 1982; Durkan et al. 2019, equations 4 to 8.) ``inverse`` solves for the argument instead.
    """
    along, across = F.pad(width.cumsum(-1), (1, 0)), F.pad(height.cumsum(-1), (1, 0))
    search = across if inverse else along
    inner = search[..., 1:-1] - LIMIT
    bin_ = (x.unsqueeze(-1) >= inner).sum(-1, keepdim=True)
    x0, w = (t.gather(-1, bin_).squeeze(-1) for t in (along, width))
    y0, h = (t.gather(-1, bin_).squeeze(-1) for t in (across, height))
    d0 = slope.gather(-1, bin_).squeeze(-1)
    d1 = slope.gather(-1, bin_ + 1).squeeze(-1)
    x0, y0, steep = x0 - LIMIT, y0 - LIMIT, h / w
    bend = d0 + d1 - 2 * steep
    if inverse:
        rise = x - y0
        a = h * (steep - d0) + rise * bend
        b = h * d0 - rise * bend
        c = -steep * rise
        root = torch.sqrt((b.square() - 4 * a * c).clamp(min=1e-12))
        t = (2 * c / (-b - root)).clamp(0, 1)
        out = x0 + t * w
    else:
        t = ((x - x0) / w).clamp(0, 1)
        out = y0 + h * (steep * t.square() + d0 * t * (1 - t)) / (steep + bend * t * (1 - t))
    across_bin = steep + bend * t * (1 - t)
    log_slope = (
        2 * steep.log()
        + (d1 * t.square() + 2 * steep * t * (1 - t) + d0 * (1 - t).square()).log()
        - 2 * across_bin.log()
    )
    return out, -log_slope if inverse else log_slope
