"""A conditional variational autoencoder: a hidden variable says which of several answers is meant."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ibc.nn import ObsEncoder, ResidualMLP
from ibc.policies.baselines.base import ExplicitPolicy
from ibc.random import RandomSource
from ibc.spec import Obs, Spec

#: Deviation of the decoder's Gaussian in the unit cube cannot fall below this.
MIN_LOG_STD = math.log(1e-2)


class CVAEPolicy(ExplicitPolicy):
    """``p(a | o) = E_z N(a; f(o, z), s^2)`` with a standard normal z (Sohn et al. 2015); acts by ``f(o, z)``.

    Args:
        latent_size: of z.
    """

    def __init__(
        self,
        spec: Spec,
        encoder: ObsEncoder | None = None,
        *,
        width: int = 256,
        num_blocks: int = 1,
        dropout: float = 0.0,
        latent_size: int = 16,
    ) -> None:
        super().__init__(spec, encoder)
        self.network = ResidualMLP(
            self.encoder.feature_size + latent_size,
            spec.action_size,
            width=width,
            num_blocks=num_blocks,
            dropout=dropout,
        )
        self.latent_size = latent_size
        self.posterior = ResidualMLP(
            self.encoder.feature_size + spec.action_size,
            2 * latent_size,
            width=width,
            num_blocks=num_blocks,
        )
        self.log_std = nn.Parameter(torch.tensor(-1.0))

    def evidence_unit(
        self, obs: Obs, unit_action: Float[Tensor, "B A"], rng: RandomSource
    ) -> tuple[Float[Tensor, " B"], Float[Tensor, " B"]]:
        """Expected log likelihood by one draw of z, and the divergence of z from its prior; in the unit cube."""
        features = self.encoder(obs)
        recognized = self.posterior(torch.cat([features, unit_action], -1))
        mean, log_std = recognized.chunk(2, -1)
        z = mean + log_std.exp() * rng.normal(*mean.shape)
        log_noise = self.log_std.clamp(min=MIN_LOG_STD)
        error = (unit_action - self.network(torch.cat([features, z], -1))) * torch.exp(-log_noise)
        likelihood = (-0.5 * error.square() - log_noise - 0.5 * math.log(2 * math.pi)).sum(-1)
        divergence = 0.5 * (mean.square() + (2 * log_std).exp() - 1 - 2 * log_std).sum(-1)
        return likelihood, divergence

    @torch.no_grad()
    def act_flat(self, obs: Obs, rng: RandomSource) -> Float[Tensor, "B A"]:
        features = self.encoder(obs)
        z = rng.normal(len(features), self.latent_size)
        unit = self.network(torch.cat([features, z], -1))
        return self.bounds.from_unit(self.bounds.clamp_unit(unit))
