"""Losses of the explicit baselines."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor

from ibc.errors import UserError
from ibc.losses.base import Loss, Metrics, required
from ibc.random import RandomSource
from ibc.spec import Batch


class MSE(Loss):
    """Mean squared error of the predicted action, in the unit cube."""

    def __call__(
        self, policy: Any, batch: Batch, rng: RandomSource
    ) -> tuple[Float[Tensor, ""], Metrics]:
        """See :class:`Loss`."""
        policy = required(self, policy, "predict_unit", "a direct prediction")
        error = policy.predict_unit(batch.obs) - policy.bounds.to_unit(batch.action)
        loss = error.square().mean()
        return loss, {"mse": loss.detach()}


class NegativeLogLikelihood(Loss):
    """Negative log density of the demonstrated action, in the unit cube."""

    def __call__(
        self, policy: Any, batch: Batch, rng: RandomSource
    ) -> tuple[Float[Tensor, ""], Metrics]:
        """See :class:`Loss`."""
        policy = required(self, policy, "log_prob_unit", "an explicit density")
        loss = -policy.log_prob_unit(batch.obs, policy.bounds.to_unit(batch.action)).mean()
        return loss, {"nll": loss.detach()}


class NeighborRegression(Loss):
    """Squared error, in the unit cube, of the prediction of each example from the rest of the batch."""

    def __call__(
        self, policy: Any, batch: Batch, rng: RandomSource
    ) -> tuple[Float[Tensor, ""], Metrics]:
        """See :class:`Loss`; a batch needs two examples at least."""
        policy = required(self, policy, "leave_one_out", "neighbors")
        if len(batch.action) < 2:
            raise UserError("trainer.batch_size=1; neighbors need at least 2")
        right = policy.bounds.to_unit(batch.action)
        loss = (policy.leave_one_out(batch.obs, right) - right).square().mean()
        return loss, {"neighbor_mse": loss.detach()}


class ELBO(Loss):
    """The negative evidence lower bound (Kingma and Welling 2014), with a weight on the divergence.

    With a weight of 1 it bounds the negative log likelihood; less keeps the hidden variable in use where it would
    otherwise be ignored.
    """

    def __init__(self, *, divergence_weight: float = 1.0) -> None:
        self.divergence_weight = divergence_weight

    def __call__(
        self, policy: Any, batch: Batch, rng: RandomSource
    ) -> tuple[Float[Tensor, ""], Metrics]:
        """See :class:`Loss`."""
        policy = required(self, policy, "evidence_unit", "a hidden variable")
        right = policy.bounds.to_unit(batch.action)
        likelihood, divergence = policy.evidence_unit(batch.obs, right, rng)
        loss = (self.divergence_weight * divergence - likelihood).mean()
        return loss, {
            "reconstruction": likelihood.detach().mean(),
            "kl": divergence.detach().mean(),
        }


class NoisePrediction(Loss):
    """Mean squared error of the predicted noise (Ho et al. 2020, equation 14)."""

    def __call__(
        self, policy: Any, batch: Batch, rng: RandomSource
    ) -> tuple[Float[Tensor, ""], Metrics]:
        """See :class:`Loss`."""
        policy = required(self, policy, "noise_error_unit", "noise to predict")
        right = policy.bounds.to_unit(batch.action)
        loss = policy.noise_error_unit(batch.obs, right, rng).square().mean()
        return loss, {"noise_mse": loss.detach()}
