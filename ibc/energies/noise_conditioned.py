"""An energy that is conditioned on the noise level of actions."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from ibc.device import reduced_precision
from ibc.energies.base import BoundNetworkEnergy
from ibc.energies.mlp import BoundMLPEnergy, MLPEnergy
from ibc.energies.network import noise_levels
from ibc.nn import ObsEncoder
from ibc.spec import Obs

#: Waves in which the head sees the level.
WAVES = 4


class NoiseConditionedEnergy(MLPEnergy):
    """``U(o, a, sigma)`` of curvature one: its gradient is ``a - E[demonstrated action | a, sigma, o]``.

    So ``U / sigma^2`` is the energy of the demonstrations blurred by sigma, whose gradient diffusion models learn as a
    vector field (Song and Ermon 2019; Salimans and Ho 2021 write it as an energy's). Bound, it behaves as the energy
    of the finest level.

    Args:
        encoder, width, num_blocks, head, num_outputs: as for :class:`MLPEnergy`.
        min_std, max_std, num_levels: the noise levels sigma, in equal ratios, in the unit cube.

    Raises:
        ValueError: levels that do not increase, or fewer than two.
    """

    level_size = 1 + 2 * WAVES

    def __init__(
        self,
        encoder: ObsEncoder | None = None,
        *,
        width: int = 256,
        num_blocks: int = 1,
        head: str = "quadratic",
        num_outputs: int = 32,
        min_std: float = 0.01,
        max_std: float = 1.0,
        num_levels: int = 10,
    ) -> None:
        super().__init__(
            encoder, width=width, num_blocks=num_blocks, head=head, num_outputs=num_outputs
        )
        self.min_std, self.max_std, self.num_levels = min_std, max_std, num_levels
        self.sigmas = noise_levels(min_std, max_std, num_levels)

    def bind(self, obs: Obs) -> BoundNoiseConditioned:
        """The observation is encoded here, and never again."""
        return BoundNoiseConditioned(self, self.encoder(obs))

    def level_features(self, std: Float[Tensor, "B 1"]) -> Float[Tensor, "B L"]:
        """The level on a logarithmic scale, from -1 for the finest to 1, and waves of it."""
        span = math.log(self.max_std / self.min_std)
        target = 2 * torch.log(std / self.min_std) / span - 1
        angle = math.pi * target * torch.arange(1, WAVES + 1, device=std.device) / 2
        return torch.cat([target, angle.sin(), angle.cos()], -1)


class BoundNoiseConditioned(BoundNetworkEnergy):
    """A :class:`NoiseConditionedEnergy` with its observation bound; without a noise level, at the smallest."""

    def __init__(self, energy: NoiseConditionedEnergy, features: Float[Tensor, "B F"]) -> None:
        self.energy = energy
        self.features = features
        self.bounds = energy.bounds
        self.sigmas = energy.sigmas
        self.weights = energy.head.weights()

    def at(self, sigma: Float[Tensor, "B 1"], /) -> BoundMLPEnergy:
        seen = torch.cat([self.features, self.energy.level_features(sigma)], -1)
        context = self.energy.head.dense_features(seen).unsqueeze(1)
        return BoundMLPEnergy(self.weights, self.bounds, context, None, reduced_precision())

    def finest(self) -> BoundMLPEnergy:
        """Return the energy at the smallest noise level."""
        return self.at(self.features.new_full((len(self.features), 1), self.sigmas[-1]))

    def unit_energy(self, unit: Float[Tensor, "B N A"]) -> Float[Tensor, "B N"]:
        return self.finest().unit_energy(unit)

    def unit_gradient(self, unit: Float[Tensor, "B N A"]) -> Float[Tensor, "B N A"]:
        return self.finest().unit_gradient(unit)
