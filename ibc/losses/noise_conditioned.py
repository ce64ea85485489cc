"""Denoising score matching of a noise-conditioned energy."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor

from ibc.losses.base import Loss, Metrics, mismatch, unit_space
from ibc.random import RandomSource
from ibc.spec import Batch


class NoiseConditionedScoreMatching(Loss):
    """For ``y = a + sigma xi``: ``|dU(o, y, sigma)/dy - (y - a)|^2 / (sigma + floor)^2``, sigma drawn evenly in log.

    Denoising score matching (Vincent 2011) with the weighting by variance of Song and Ermon 2019, section 4.2: the
    energy view of diffusion. :class:`DenoisingScoreMatching` is the same for one energy that serves all levels at once.

    Args:
        floor: errors below this size are not magnified further.
    """

    def __init__(self, *, floor: float = 0.01) -> None:
        self.floor = floor

    def __call__(
        self, policy: Any, batch: Batch, rng: RandomSource
    ) -> tuple[Float[Tensor, ""], Metrics]:
        """See :class:`Loss`."""
        space = unit_space(self, policy, batch)
        if not space.sigmas:
            raise mismatch(
                self, policy.energy, "levels of noise (policy=implicit_noise_conditioned)"
            )
        right = space.bounds.to_unit(batch.action).unsqueeze(1)
        high, low = space.sigmas[0], space.sigmas[-1]
        std = low * (high / low) ** rng.uniform(len(right), 1)
        shift = std.unsqueeze(1) * rng.normal(*right.shape)
        gradient = space.at(std).gradient(right + shift, create_graph=True)
        loss = ((gradient - shift) / (std.unsqueeze(1) + self.floor)).square().mean()
        return loss, {"denoising": loss.detach()}
