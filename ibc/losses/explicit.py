"""Losses of the explicit baselines."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ibc.component import check_positive
from ibc.errors import UserError
from ibc.losses.base import Loss, LossAndMetrics, required
from ibc.random import RandomSource
from ibc.spec import Batch, Obs


class _ExplicitLoss(Loss):
    """A loss of a policy without an energy.

    Attributes:
        method: the method that the policy must have.
        need: what the method stands for, in messages.
    """

    method: str
    need: str

    @abstractmethod
    def value(self, policy: Any, obs: Obs, right: Tensor, rng: RandomSource) -> LossAndMetrics:
        """Compute loss and metrics from the demonstrated action ``right`` (B, A) in the unit cube."""

    def __call__(self, policy: Any, batch: Batch, rng: RandomSource) -> LossAndMetrics:
        policy = required(self, policy, self.method, self.need)
        return self.value(policy, batch.obs, policy.bounds.to_unit(batch.action), rng)


class MSE(_ExplicitLoss):
    """Mean squared error of the predicted action, in the unit cube."""

    method, need = "predict_unit", "a direct prediction"

    def value(self, policy: Any, obs: Obs, right: Tensor, rng: RandomSource) -> LossAndMetrics:
        loss = (policy.predict_unit(obs) - right).square().mean()
        return loss, {"mse": loss.detach()}


class NegativeLogLikelihood(_ExplicitLoss):
    """Negative log density of the demonstrated action, in the unit cube."""

    method, need = "log_prob_unit", "an explicit density"

    def value(self, policy: Any, obs: Obs, right: Tensor, rng: RandomSource) -> LossAndMetrics:
        loss = -policy.log_prob_unit(obs, right).mean()
        return loss, {"nll": loss.detach()}


class NeighborRegression(_ExplicitLoss):
    """Squared error, in the unit cube, of the prediction of each example from the rest of the batch."""

    method, need = "leave_one_out", "neighbors"

    def is_mean(self) -> bool:
        """See :class:`Loss`: the batch is what each example is predicted from."""
        return False

    def value(self, policy: Any, obs: Obs, right: Tensor, rng: RandomSource) -> LossAndMetrics:
        """See :class:`Loss`; a batch needs two examples at least."""
        if len(right) < 2:
            raise UserError(
                "a batch of 1; neighbors need at least 2 (trainer.batch_size over trainer.accumulate)"
            )
        loss = (policy.leave_one_out(obs, right) - right).square().mean()
        return loss, {"neighbor_mse": loss.detach()}


@dataclass(eq=False, kw_only=True)
class ELBO(_ExplicitLoss):
    """The negative evidence lower bound (Kingma and Welling 2014), with a weight on the divergence.

    With a weight of 1 it bounds the negative log likelihood; less keeps the latent variable in use where it would
    otherwise be ignored.
    """

    divergence_weight: float = 1.0
    method, need = "evidence_unit", "a latent variable"

    def value(self, policy: Any, obs: Obs, right: Tensor, rng: RandomSource) -> LossAndMetrics:
        likelihood, divergence = policy.evidence_unit(obs, right, rng)
        loss = (self.divergence_weight * divergence - likelihood).mean()
        return loss, {
            "reconstruction": likelihood.detach().mean(),
            "kl": divergence.detach().mean(),
        }


class NoisePrediction(_ExplicitLoss):
    """Mean squared error of the predicted noise (Ho et al. 2020, equation 14)."""

    method, need = "noise_error_unit", "noise to predict"

    def value(self, policy: Any, obs: Obs, right: Tensor, rng: RandomSource) -> LossAndMetrics:
        loss = policy.noise_error_unit(obs, right, rng).square().mean()
        return loss, {"noise_mse": loss.detach()}


class TwoStepRegression(_ExplicitLoss):
    """Squared error of ``F(0, 0)`` and of ``F(t a + (1 - t) z, t)`` with z normal (Pan et al. 2025), unit cube."""

    method, need = "time", "two steps (policy=two_step)"

    def value(self, policy: Any, obs: Obs, right: Tensor, rng: RandomSource) -> LossAndMetrics:
        network, action = policy.bind_network(obs), right.unsqueeze(1)
        zero = action.new_zeros(len(action), 1)
        first = (network(torch.zeros_like(action), zero) - action).square().mean()
        if policy.num_steps == 1:
            return first, {"first_mse": first.detach()}
        noisy = policy.time * action + (1 - policy.time) * rng.normal(*action.shape)
        second = (network(noisy, zero + policy.time) - action).square().mean()
        return first + second, {"first_mse": first.detach(), "second_mse": second.detach()}


@dataclass(eq=False, kw_only=True)
class ImplicitMaximumLikelihood(_ExplicitLoss):
    """Squared error of the nearest of several samples (Li and Malik 2018; for policies Rana et al. 2025).

    Every demonstrated action gets a sample near it, so no mode is left out. Samples that are near already are not
    chosen, so that others come nearer: the training then sees the noise that acting sees (Vashist et al. 2024).

    Args:
        num: samples for each example.
        reject_distance: root mean squared distance in the unit cube below which a sample is not chosen.
    """

    num: int = 20
    reject_distance: float = 0.01
    method, need = "sample_unit", "samples of one step (policy=one_step)"

    def __post_init__(self) -> None:
        check_positive(self, "num")

    def value(self, policy: Any, obs: Obs, right: Tensor, rng: RandomSource) -> LossAndMetrics:
        """See :class:`Loss`; an example whose samples are all near counts with its nearest one."""
        samples = policy.sample_unit(obs, self.num, rng)
        error = (samples - right.unsqueeze(1)).square().mean(-1)
        seen = error.detach()
        is_near = seen < self.reject_distance**2
        far = seen.masked_fill(is_near & ~is_near.all(1, keepdim=True), torch.inf)
        loss = error.gather(1, far.argmin(1, keepdim=True)).mean()
        return loss, {"nearest_mse": seen.amin(1).mean()}
