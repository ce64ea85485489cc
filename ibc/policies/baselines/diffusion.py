"""A small diffusion policy: from noise to an action, step by step."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from ibc.nn import ObsEncoder, ResidualMLP
from ibc.policies.baselines.base import ExplicitPolicy
from ibc.random import RandomSource
from ibc.spec import Obs, Spec

#: Waves in which the network sees the time.
WAVES = 8
#: Predictions of the clean action are kept in a box a little larger than any search box.
CLIP = 1.2


class DiffusionPolicy(ExplicitPolicy):
    """Predicts the noise in a noisy action (Ho et al. 2020; for policies Chi et al. 2023).

    Args:
        num_levels: of noise in training, spaced by a cosine (Nichol and Dhariwal 2021).
        num_steps: taken when acting, at most ``num_levels``.
        eta: 1 draws new noise at every step (DDPM), 0 none but the first (DDIM, Song et al. 2021).
    """

    keep: Tensor

    def __init__(
        self,
        spec: Spec,
        encoder: ObsEncoder | None = None,
        *,
        width: int = 256,
        num_blocks: int = 1,
        dropout: float = 0.0,
        num_levels: int = 100,
        num_steps: int = 10,
        eta: float = 0.0,
    ) -> None:
        super().__init__(spec, encoder)
        self.network = ResidualMLP(
            self.encoder.feature_size + spec.action_size + 1 + 2 * WAVES,
            spec.action_size,
            width=width,
            num_blocks=num_blocks,
            dropout=dropout,
        )
        if not 1 <= num_steps <= num_levels:
            raise ValueError(f"num_steps={num_steps} must be between 1 and num_levels={num_levels}")
        self.num_levels, self.num_steps, self.eta = num_levels, num_steps, eta
        self.register_buffer("keep", cosine_schedule(num_levels), persistent=False)

    def predict_noise(
        self, features: Float[Tensor, "B F"], noisy: Float[Tensor, "B A"], level: Tensor
    ) -> Float[Tensor, "B A"]:
        """The noise in actions of the unit cube at each item's level, (B,), counted from the cleanest."""
        time = (level.float() + 1).unsqueeze(-1).to(noisy) / self.num_levels
        angle = math.pi * time * torch.arange(1, WAVES + 1, device=noisy.device)
        seen = torch.cat([features, noisy, time, angle.sin(), angle.cos()], -1)
        predicted: Tensor = self.network(seen)
        return predicted

    def noise_error_unit(
        self, obs: Obs, unit_action: Float[Tensor, "B A"], rng: RandomSource
    ) -> Float[Tensor, "B A"]:
        """The error of the predicted noise at a random level for each example."""
        level = (rng.uniform(len(unit_action)) * self.num_levels).long()
        keep = self.keep[level].unsqueeze(-1)
        shake = rng.normal(*unit_action.shape)
        noisy = keep.sqrt() * unit_action + (1 - keep).sqrt() * shake
        return self.predict_noise(self.encoder(obs), noisy, level) - shake

    @torch.no_grad()
    def act_flat(self, obs: Obs, rng: RandomSource) -> Float[Tensor, "B A"]:
        features = self.encoder(obs)
        unit = rng.normal(len(features), self.spec.action_size)
        for level, before in self.steps():
            now = self.keep[level]
            then = self.keep[before] if before >= 0 else torch.ones_like(now)
            at = torch.full((len(unit),), level, device=unit.device)
            predicted = self.predict_noise(features, unit, at)
            clean = (unit - (1 - now).sqrt() * predicted) / now.sqrt()
            clean = clean.clamp(-CLIP, CLIP)
            predicted = (unit - now.sqrt() * clean) / (1 - now).sqrt()
            std = self.eta * ((1 - then) / (1 - now) * (1 - now / then)).sqrt()
            unit = then.sqrt() * clean + (1 - then - std**2).clamp(min=0).sqrt() * predicted
            if self.eta > 0 and before >= 0:
                unit = unit + std * rng.normal(*unit.shape)
        return self.bounds.from_unit(self.bounds.clamp_unit(unit))

    def steps(self) -> list[tuple[int, int]]:
        """The levels visited when acting, each with the next; -1 is the clean action."""
        share = self.num_levels / self.num_steps
        levels = [math.ceil(self.num_levels - i * share) - 1 for i in range(self.num_steps)]
        return list(zip(levels, [*levels[1:], -1], strict=True))


def cosine_schedule(num_levels: int) -> Float[Tensor, " L"]:
    """How much of the action's variance is left at each level, the cleanest first."""
    time = torch.arange(1, num_levels + 1, dtype=torch.float64) / num_levels
    angle = (time + 0.008) / 1.008 * math.pi / 2
    start = math.cos(0.008 / 1.008 * math.pi / 2)
    return (angle.cos() / start).square().clamp(1e-4, 0.9999).float()
