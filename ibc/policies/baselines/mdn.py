"""A mixture density network."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ibc.component import check_positive
from ibc.nn import ObsEncoder, ResidualMLP
from ibc.nn.densities import mixture_log_prob, split_mixture
from ibc.policies.baselines.base import ExplicitPolicy
from ibc.random import RandomSource
from ibc.spec import Obs, Spec


class MDNPolicy(ExplicitPolicy):
    """A mixture of diagonal Gaussians (Bishop 1994); acts by the mean of a component drawn by weight.

    The spread of the component is left out: it stands for what the network has not learned, and acting it out gains
    nothing.
    """

    def __init__(
        self,
        spec: Spec,
        encoder: ObsEncoder | None = None,
        *,
        width: int = 256,
        num_blocks: int = 1,
        dropout: float = 0.0,
        num_components: int = 26,
        temperature: float = 1.0,
    ) -> None:
        super().__init__(spec, encoder)
        self.num_components = num_components
        self.temperature = temperature
        check_positive(self, "num_components", "temperature")
        self.network = ResidualMLP(
            self.encoder.feature_size,
            num_components * (1 + 2 * spec.action_size),
            width=width,
            num_blocks=num_blocks,
            dropout=dropout,
        )

    def mixture(
        self, obs: Obs
    ) -> tuple[Float[Tensor, "B K"], Float[Tensor, "B K A"], Float[Tensor, "B K A"]]:
        """Log weights, means and log standard deviations of the components, in the unit cube."""
        out: Tensor = self.network(self.encoder(obs))
        logits, rest = out[:, : self.num_components], out[:, self.num_components :]
        out = torch.cat([logits / self.temperature, rest], -1)
        return split_mixture(out, self.num_components)

    def log_prob_unit(self, obs: Obs, unit_action: Float[Tensor, "B A"]) -> Float[Tensor, " B"]:
        """Log density of action chunks, in the unit cube."""
        log_weight, mean, log_std = self.mixture(obs)
        density = mixture_log_prob(log_weight, mean, log_std, unit_action.unsqueeze(1))
        return density.squeeze(1)

    @torch.no_grad()
    def act_flat(self, obs: Obs, rng: RandomSource) -> Float[Tensor, "B A"]:
        log_weight, mean, _ = self.mixture(obs)
        cdf = log_weight.double().exp().cumsum(-1)
        draw = rng.uniform(len(cdf), 1).double() * cdf[:, -1:]
        component = torch.searchsorted(cdf, draw).clamp_(max=self.num_components - 1)
        index = component.unsqueeze(-1).expand(-1, 1, mean.shape[-1])
        unit = mean.gather(1, index).squeeze(1)
        return self.bounds.from_unit(self.bounds.clamp_unit(unit))
