"""Actions in bins, one dimension after another."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ibc.component import check_positive
from ibc.nn import BatchedMLP, ObsEncoder
from ibc.nn.batched_mlp import INIT_STD
from ibc.nn.mlp import initialize
from ibc.policies.baselines.base import ExplicitPolicy
from ibc.random import RandomSource
from ibc.spec import Obs, Spec


class CategoricalPolicy(ExplicitPolicy):
    """``p(bin_j | o, a_1..a_{j-1})`` by one head for each action dimension (as in Metz et al. 2017).

    The search box is cut into bins of equal width; an action is drawn dimension by dimension and lies in the middle of
    its bins, so its precision is half a bin.

    Args:
        num_bins: in each dimension.
        temperature: of the softmax when acting; small ones choose the likeliest bin.
    """

    def __init__(
        self,
        spec: Spec,
        encoder: ObsEncoder | None = None,
        *,
        width: int = 256,
        num_blocks: int = 1,
        num_bins: int = 64,
        temperature: float = 1.0,
    ) -> None:
        super().__init__(spec, encoder)
        self.width, self.num_bins, self.temperature = width, num_bins, temperature
        check_positive(self, "num_bins", "temperature")
        size = spec.action_size
        self.dense_features = nn.Linear(self.encoder.feature_size, size * width)
        initialize(self.dense_features)
        # Dimension j sees those before it: row i of block j is used for i < j only.
        pairs = torch.ones(size, size).tril(-1).nonzero()
        self.dense_action = nn.Parameter(INIT_STD * torch.randn(len(pairs), width))
        self.register_buffer("pairs", pairs, persistent=False)
        self.heads = BatchedMLP(size, num_bins, width=width, num_blocks=num_blocks)

    pairs: Tensor

    def log_prob_unit(self, obs: Obs, unit_action: Float[Tensor, "B A"]) -> Float[Tensor, " B"]:
        """Log density of action chunks, in the unit cube: constant within each bin."""
        context = self._context(obs)
        given = context + torch.einsum("bi,jiw->bjw", unit_action, self._weight())
        logits = self.heads(given.transpose(0, 1)).transpose(0, 1)
        chosen = torch.log_softmax(logits, -1).gather(-1, self.bin_of(unit_action).unsqueeze(-1))
        return (chosen.squeeze(-1) - self._bin_width().log()).sum(-1)

    def bin_of(self, unit_action: Float[Tensor, "B A"]) -> Int[Tensor, "B A"]:
        """The bin that each component lies in."""
        place = (unit_action - self.bounds.unit_low) / self._bin_width()
        return place.floor().long().clamp(0, self.num_bins - 1)

    @torch.no_grad()
    def act_flat(self, obs: Obs, rng: RandomSource) -> Float[Tensor, "B A"]:
        context, weight = self._context(obs), self._weight()
        columns: list[Tensor] = []
        uniform = rng.uniform(len(context), self.spec.action_size).double()
        for j in range(self.spec.action_size):
            given = context[:, j]
            if columns:
                given = given + torch.cat(columns, -1) @ weight[j, :j]
            logits = self.heads.slice(slice(j, j + 1), given.unsqueeze(0))[0]
            cdf = torch.softmax((logits / self.temperature).double(), -1).cumsum(-1)
            draw = torch.searchsorted(cdf, uniform[:, j : j + 1].contiguous() * cdf[:, -1:])
            index = draw.clamp_(max=self.num_bins - 1).to(given.dtype)
            width = torch.where(
                self._point(), torch.zeros_like(self._bin_width()), self._bin_width()
            )
            columns.append(self.bounds.unit_low[j] + (index + 0.5) * width[j])
        return self.bounds.from_unit(torch.cat(columns, -1))

    def _context(self, obs: Obs) -> Float[Tensor, "B A W"]:
        features: Tensor = self.dense_features(self.encoder(obs))
        return features.view(len(features), self.spec.action_size, self.width)

    def _weight(self) -> Float[Tensor, "A A W"]:
        size = self.spec.action_size
        weight = self.dense_action.new_zeros(size, size, self.width)
        return weight.index_put((self.pairs[:, 0], self.pairs[:, 1]), self.dense_action)

    def _point(self) -> Tensor:
        return self.bounds.unit_high <= self.bounds.unit_low

    def _bin_width(self) -> Float[Tensor, " A"]:
        width = self.bounds.unit_high - self.bounds.unit_low
        return torch.where(width > 0, width, torch.ones_like(width)) / self.num_bins
