"""Denoising score matching."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor

from ibc.losses.base import Loss, Metrics, unit_space
from ibc.random import RandomSource
from ibc.spec import Batch


class DenoisingScoreMatching(Loss):
    """Denoising score matching of one energy at all noise scales at once, in the unit cube.

    For ``y = a + sigma * xi`` the loss is ``|dE/dy - (y - a)|^2 / (sigma + floor)^2``, averaged over dimensions. Its
    optimum is ``dE/dy = y - E[a | y, o]``, the residual of the least-squares denoiser (Vincent 2011; without a noise
    level as input, Sun et al. 2025): minima at the demonstrated actions, with curvature one, so that a gradient step of
    one lands on them. Every example gives a target for *each* action dimension, where InfoNCE gives one number;
    this makes an energy precise in many dimensions. It does not determine the relative depth of minima that no noise
    connects.

    Args:
        min_std, max_std: of the noise; sigma is ``min_std + (max_std - min_std) * u^2`` with u uniform.
        floor: errors below this size are not magnified further.
        num: perturbed copies of each example.
    """

    def __init__(
        self, *, min_std: float = 0.003, max_std: float = 1.0, floor: float = 0.05, num: int = 1
    ) -> None:
        if not 0 < min_std <= max_std:
            raise ValueError(f"needs 0 < min_std <= max_std, got {min_std} and {max_std}")
        self.min_std = min_std
        self.max_std = max_std
        self.floor = floor
        self.num = num

    def __call__(
        self, policy: Any, batch: Batch, rng: RandomSource
    ) -> tuple[Float[Tensor, ""], Metrics]:
        """See :class:`Loss`."""
        space = unit_space(self, policy, batch)
        right = space.bounds.to_unit(batch.action).unsqueeze(1)
        count, _, size = right.shape
        std = self.min_std + (self.max_std - self.min_std) * rng.uniform(count, self.num, 1) ** 2
        shift = std * rng.normal(count, self.num, size)
        gradient = space.gradient(right + shift, create_graph=True)
        loss = ((gradient - shift) / (std + self.floor)).square().mean()
        return loss, {"denoising": loss.detach()}
