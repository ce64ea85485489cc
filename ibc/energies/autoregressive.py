"""An energy for each action dimension, given the ones before it."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ibc.energies.base import BoundNetworkEnergy
from ibc.energies.network import NetworkEnergy
from ibc.nn.batched_mlp import INIT_STD, BatchedMLP
from ibc.nn.mlp import ResidualMLP, initialize
from ibc.spec import Obs, Spec

#: Points at which a dimension's normalizer is taken. Enough for ranking; a likelihood needs peaks wider than a cell.
GRID = 64
#: Outputs of a head, whose squared norm is its energy: minima are then quadratic, and as sharp as the data ask for.
RESIDUALS = 8


@dataclass(eq=False, repr=False)
class AutoregressiveEnergy(NetworkEnergy):
    """``E_j(o, a_1..a_j)`` by one head for each dimension j on one encoder (IBC paper, appendix B.2, algorithm 2).

    InfoNCE leaves to every ``E_j`` an offset that may depend on what comes before it, so their plain sum ranks nothing.
    The whole energy is therefore ``sum_j E_j + log Z_j``, with ``Z_j`` the integral over dimension j of the search box,
    taken on a grid: a negative log likelihood, which is cheap because each integral has one dimension.

    Heads are small, since every candidate passes through them. What takes more, such as which of two goals the
    observation asks for, is worked out by a trunk, once for each observation; heads see the encoder's features too.
    """

    _: KW_ONLY
    width: int = 256
    num_blocks: int = 1
    head_width: int = 32
    head_blocks: int = 1
    temperature: float = 1.0

    def build(self, spec: Spec) -> None:
        super().build(spec)
        size, features, hidden = spec.action_size, self.encoder.feature_size, self.head_width
        self.size = size
        self.trunk = ResidualMLP(features, self.width, width=self.width, num_blocks=self.num_blocks)
        self.dense_features = nn.Linear(features + self.width, size * hidden)
        initialize(self.dense_features)
        self.dense_action = nn.Parameter(INIT_STD * torch.randn(size, size, hidden))
        self.heads = BatchedMLP(size, RESIDUALS, width=hidden, num_blocks=self.head_blocks)

    def bind(self, obs: Obs) -> BoundAutoregressive:
        """The observation goes through encoder, trunk and first layer here, and never again."""
        features = self.encoder(obs)
        context = self.dense_features(torch.cat([features, self.trunk(features)], -1))
        return BoundAutoregressive(self, context.view(-1, self.size, self.head_width))


class BoundAutoregressive(BoundNetworkEnergy):
    """An :class:`AutoregressiveEnergy` with its observation bound."""

    is_autoregressive = True

    def __init__(self, energy: AutoregressiveEnergy, context: Float[Tensor, "B A W"]) -> None:
        self.bounds = energy.bounds
        self.heads = energy.heads
        self.weight = energy.dense_action
        self.temperature = energy.temperature
        self.context = context

    def unit_energy(self, unit: Float[Tensor, "B N A"]) -> Float[Tensor, "B N"]:
        """Compute ``temperature * -log p(a | o)`` over the search box of the unit cube."""
        low, high = self.bounds.unit_low, self.bounds.unit_high
        cells = (torch.arange(GRID, device=unit.device).to(unit) + 0.5) / GRID
        grid = (low + (high - low) * cells.unsqueeze(-1)).expand(*unit.shape[:2], -1, -1)
        values = torch.cat([unit.unsqueeze(2), grid], 2)
        # One candidate at a time: a grid for all of them does not stay in cache.
        parts = zip(torch.split(unit, 1, 1), torch.split(values, 1, 1), strict=True)
        energy = torch.cat([self.conditionals(*part) for part in parts], 1)
        free = torch.logsumexp(-energy[:, :, 1:] / self.temperature, 2) - math.log(GRID)
        width = torch.where(high > low, high - low, torch.ones_like(low))
        return (energy[:, :, 0] + self.temperature * (free + width.log())).sum(-1)

    def prefix(self, unit: Float[Tensor, "B N A"], j: int, /) -> Float[Tensor, "B N"]:
        unit = unit[..., : j + 1]
        h = self.context[:, None, j] + unit @ self.weight[j, : j + 1]
        out: Tensor = self.heads.slice(slice(j, j + 1), h.flatten(0, 1).unsqueeze(0))
        return out.square().sum(-1).view(*unit.shape[:2])

    def prefix_at(self, unit: Float[Tensor, "B N A"], j: Int[Tensor, 1]) -> Float[Tensor, "B N"]:
        """Compute :meth:`prefix` of a dimension that is known to a graph only when it runs."""
        before = torch.arange(unit.shape[-1], device=unit.device) <= j
        h = self.context.index_select(1, j) + (unit * before) @ self.weight.index_select(0, j)[0]
        out: Tensor = self.heads.slice(j, h.flatten(0, 1).unsqueeze(0))
        return out.square().sum(-1).view(*unit.shape[:2])

    def conditionals(self, prefix: Tensor, values: Tensor, /) -> Tensor:
        size = prefix.shape[-1]
        order = torch.arange(size, device=prefix.device)
        before = self.weight * (order < order.unsqueeze(1)).unsqueeze(-1)
        own = self.weight[order, order]
        # Heads first, (A, B, M, W): what each sees of the observation and of the dimensions before its own.
        given = self.context.transpose(0, 1).unsqueeze(2)
        given = given + torch.einsum("bma,jaw->jbmw", prefix, before)
        values = values.movedim(-1, 0)
        h = given.unsqueeze(3) + values.unsqueeze(-1) * own[:, None, None, None]
        out: Tensor = self.heads(h.flatten(1, 3)).square().sum(-1)
        return out.view(values.shape).movedim(0, -1)
