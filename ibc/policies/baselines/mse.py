"""Regression: the mean action."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ibc.nn import ObsEncoder, ResidualMLP
from ibc.policies.baselines.base import ExplicitPolicy
from ibc.random import RandomSource
from ibc.spec import Obs, Spec


class MSEPolicy(ExplicitPolicy):
    """Predicts the mean action."""

    def __init__(
        self,
        spec: Spec,
        encoder: ObsEncoder | None = None,
        *,
        width: int = 256,
        num_blocks: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(spec, encoder)
        self.network = ResidualMLP(
            self.encoder.feature_size,
            spec.action_size,
            width=width,
            num_blocks=num_blocks,
            dropout=dropout,
        )

    def predict_unit(self, obs: Obs) -> Float[Tensor, "B A"]:
        """The action chunk, in the unit cube."""
        prediction: Tensor = self.network(self.encoder(obs))
        return prediction

    @torch.no_grad()
    def act_flat(self, obs: Obs, rng: RandomSource) -> Float[Tensor, "B A"]:
        return self.bounds.from_unit(self.bounds.clamp_unit(self.predict_unit(obs)))
