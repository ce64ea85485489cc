"""Losses of the explicit baselines: squared error and likelihood."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from ibc.losses.base import HasLikelihood, HasPrediction, Loss, Metrics, mismatch
from ibc.noise import Noise
from ibc.types import Batch


class MSE(Loss):
    """Mean squared error of the predicted action, in the unit cube."""

    def __call__(
        self, policy: object, batch: Batch, noise: Noise
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
        self, policy: object, batch: Batch, noise: Noise
    ) -> tuple[Float[Tensor, ""], Metrics]:
        """See :class:`Loss`."""
        if not isinstance(policy, HasLikelihood):
            raise mismatch(self, policy, "an explicit density")
        loss = -policy.log_prob_unit(batch.obs, policy.bounds.to_unit(batch.action)).mean()
        return loss, {"nll": loss.detach()}
