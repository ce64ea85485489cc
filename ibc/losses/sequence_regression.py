"""Losses of policies that regress actions in few steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from ibc.errors import UserError
from ibc.losses.base import Loss, LossAndMetrics, required
from ibc.random import RandomSource
from ibc.spec import Batch


@dataclass(eq=False, kw_only=True)
class TwoStepRegression(Loss):
    """Squared error of ``F(0, 0)`` and of ``F(t a + (1 - t) z, t)`` with z normal (Pan et al. 2025), unit cube."""

    def __call__(self, policy: Any, batch: Batch, rng: RandomSource) -> LossAndMetrics:
        policy = required(self, policy, "time", "two steps (policy=two_step)")
        network = policy.bind_network(batch.obs)
        action = policy.bounds.to_unit(batch.action).unsqueeze(1)
        zero = action.new_zeros(len(action), 1)
        first = (network(torch.zeros_like(action), zero) - action).square().mean()
        if policy.num_steps == 1:
            return first, {"first_mse": first.detach()}
        noisy = policy.time * action + (1 - policy.time) * rng.normal(*action.shape)
        second = (network(noisy, zero + policy.time) - action).square().mean()
        return first + second, {"first_mse": first.detach(), "second_mse": second.detach()}


@dataclass(eq=False, kw_only=True)
class ImplicitMaximumLikelihood(Loss):
    """Squared error of the nearest of several samples (Li and Malik 2018; for policies Rana et al. 2025).

    Every demonstrated action gets a sample near it, so no mode is left out. Samples that are near already are not
    chosen, so that others come nearer: the training then sees the noise that acting sees (Vashist et al. 2024).

    Args:
        num: samples for each example.
        reject_distance: root mean squared distance in the unit cube below which a sample is not chosen.
    """

    num: int = 20
    reject_distance: float = 0.01

    def __post_init__(self) -> None:
        if self.num < 1:
            raise UserError(f"num={self.num}; it must be at least 1")

    def __call__(self, policy: Any, batch: Batch, rng: RandomSource) -> LossAndMetrics:
        """See :class:`Loss`; an example whose samples are all near counts with its nearest one."""
        policy = required(self, policy, "sample_unit", "samples of one step (policy=one_step)")
        action = policy.bounds.to_unit(batch.action).unsqueeze(1)
        error = (policy.sample_unit(batch.obs, self.num, rng) - action).square().mean(-1)
        is_near = error.detach() < self.reject_distance**2
        chosen = (error.detach() + 1e6 * is_near).argmin(1, keepdim=True)
        loss = error.gather(1, chosen).mean()
        return loss, {"nearest_mse": error.detach().amin(1).mean()}
