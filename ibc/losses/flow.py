"""Losses along straight lines from noise to actions, of flow-matching policies and of energies without levels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ibc.component import check_positive
from ibc.errors import UserError
from ibc.losses.base import Loss, LossAndMetrics, bind, required
from ibc.random import RandomSource
from ibc.samplers import Sampler
from ibc.spec import Batch


@dataclass(eq=False, kw_only=True)
class FlowMatching(Loss):
    """``|v((1 - t) z + t a, t) - (a - z)|^2`` for z normal and t uniform (Lipman et al. 2023), in the unit cube."""

    def __call__(self, policy: Any, batch: Batch, rng: RandomSource) -> LossAndMetrics:
        policy = required(self, policy, "bind_network", "a velocity (policy=flow_matching)")
        action = policy.bounds.to_unit(batch.action).unsqueeze(1)
        noise, time = rng.normal(*action.shape), rng.uniform(len(action), 1)
        velocity = policy.bind_network(batch.obs)(interpolate(noise, action, time), time)
        loss = (velocity - (action - noise)).square().mean()
        return loss, {"flow_mse": loss.detach()}


@dataclass(eq=False, kw_only=True)
class EquilibriumMatching(Loss):
    """``|dE/dy - c(t) (z - a)|^2`` at ``y = (1 - t) z + t a`` for uniform z and t (Wang and Du 2025), in the unit cube.

    The energy has no noise level as input. ``c(t) = slope min(1, (1 - t) / (1 - flat_until))``: the gradient has one
    length along the line and vanishes at the demonstrated action, where a descent therefore comes to rest. A descent
    with steps of ``(1 - flat_until) / slope`` goes along the line and lands on its end.

    Args:
        slope: of the energy along the first part of a line.
        flat_until: the part of the line with a constant slope.
    """

    slope: float = 4.0
    flat_until: float = 0.8

    def __post_init__(self) -> None:
        check_positive(self, "slope")
        if not 0 <= self.flat_until < 1:
            raise UserError(f"flat_until={self.flat_until}; it must be at least 0 and below 1")

    def __call__(self, policy: Any, batch: Batch, rng: RandomSource) -> LossAndMetrics:
        space, action = bind(self, policy, batch)
        noise, time = space.uniform(len(action), 1, rng), rng.uniform(len(action), 1)
        gradient = space.gradient(interpolate(noise, action, time), create_graph=True)
        speed = self.slope * ((1 - time) / (1 - self.flat_until)).clamp(max=1).unsqueeze(1)
        loss = (gradient - speed * (noise - action)).square().mean()
        return loss, {"equilibrium": loss.detach()}


@dataclass(eq=False, kw_only=True)
class EnergyMatching(Loss):
    """A flow towards the demonstrations that is the gradient of one energy, which is their density near them.

    ``|dE/dy - (z - a)|^2`` at ``y = (1 - t) z + t a`` for uniform z and t, and ``w (E(a) - E(b))`` with b drawn by
    short chains from the demonstrated actions (Balcerak et al. 2025, without optimal transport between z and a: each
    observation has one a). The second term alone is contrastive divergence (Hinton 2002).

    Args:
        sampler: of b.
        contrast_weight: w.
    """

    sampler: Sampler
    contrast_weight: float = 0.01

    def __call__(self, policy: Any, batch: Batch, rng: RandomSource) -> LossAndMetrics:
        space, action = bind(self, policy, batch)
        noise, time = space.uniform(len(action), 1, rng), rng.uniform(len(action), 1)
        gradient = space.gradient(interpolate(noise, action, time), create_graph=True)
        flow = (gradient - (noise - action)).square().mean()
        found = self.sampler(space, action, rng).action
        contrast = (space.energy(action) - space.energy(found).mean(1, keepdim=True)).mean()
        loss = flow + self.contrast_weight * contrast
        return loss, {"flow_mse": flow.detach(), "contrast": contrast.detach()}


def interpolate(noise: Tensor, action: Tensor, time: Tensor) -> Tensor:
    """Return the points at ``time`` (B, 1) of lines from ``noise`` to ``action``, both (B, N, A)."""
    return torch.lerp(noise, action, time.unsqueeze(1))
