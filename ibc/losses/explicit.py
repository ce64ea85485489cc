"""Losses of the explicit baselines."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from ibc.errors import UserError
from ibc.losses.base import HasLikelihood, HasPrediction, Loss, Metrics, mismatch
from ibc.nn import ActionBounds
from ibc.random import RandomSource
from ibc.spec import Batch, Obs


class MSE(Loss):
    """Mean squared error of the predicted action, in the unit cube."""

    def __call__(
        self, policy: object, batch: Batch, rng: RandomSource
    ) -> tuple[Float[Tensor, ""], Metrics]:
        """See :class:`Loss`."""
        if not isinstance(policy, HasPrediction):
            raise mismatch(self, policy, "a direct prediction")
        error = policy.predict_unit(batch.obs) - policy.bounds.to_unit(batch.action)
        loss = error.square().mean()
        return loss, {"mse": loss.detach()}


class NegativeLogLikelihood(Loss):
    """Negative log density of the demonstrated action, in the unit cube."""

    def __call__(
        self, policy: object, batch: Batch, rng: RandomSource
    ) -> tuple[Float[Tensor, ""], Metrics]:
        """See :class:`Loss`."""
        if not isinstance(policy, HasLikelihood):
            raise mismatch(self, policy, "an explicit density")
        loss = -policy.log_prob_unit(batch.obs, policy.bounds.to_unit(batch.action)).mean()
        return loss, {"nll": loss.detach()}


@runtime_checkable
class HasNeighbors(Protocol):
    """A policy that predicts each example of a batch from the others."""

    bounds: ActionBounds

    def leave_one_out(self, obs: Obs, unit_action: Float[Tensor, "B A"]) -> Float[Tensor, "B A"]:
        """Predictions in the unit cube."""
        ...


@runtime_checkable
class HasEvidence(Protocol):
    """A policy with a hidden variable."""

    bounds: ActionBounds

    def evidence_unit(
        self, obs: Obs, unit_action: Float[Tensor, "B A"], rng: RandomSource
    ) -> tuple[Float[Tensor, " B"], Float[Tensor, " B"]]:
        """Expected log likelihood, and divergence of the hidden variable from its prior."""
        ...


@runtime_checkable
class HasNoiseError(Protocol):
    """A policy that predicts the noise in noisy actions."""

    bounds: ActionBounds

    def noise_error_unit(
        self, obs: Obs, unit_action: Float[Tensor, "B A"], rng: RandomSource
    ) -> Float[Tensor, "B A"]:
        """Errors of that prediction."""
        ...


class NeighborRegression(Loss):
    """Squared error, in the unit cube, of what the rest of the batch says about each example."""

    def __call__(
        self, policy: object, batch: Batch, rng: RandomSource
    ) -> tuple[Float[Tensor, ""], Metrics]:
        """See :class:`Loss`; a batch needs two examples at least."""
        if not isinstance(policy, HasNeighbors):
            raise mismatch(self, policy, "neighbors")
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
        self, policy: object, batch: Batch, rng: RandomSource
    ) -> tuple[Float[Tensor, ""], Metrics]:
        """See :class:`Loss`."""
        if not isinstance(policy, HasEvidence):
            raise mismatch(self, policy, "a hidden variable")
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
        self, policy: object, batch: Batch, rng: RandomSource
    ) -> tuple[Float[Tensor, ""], Metrics]:
        """See :class:`Loss`."""
        if not isinstance(policy, HasNoiseError):
            raise mismatch(self, policy, "noise to predict")
        right = policy.bounds.to_unit(batch.action)
        loss = policy.noise_error_unit(batch.obs, right, rng).square().mean()
        return loss, {"noise_mse": loss.detach()}
