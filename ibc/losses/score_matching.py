"""Denoising score matching, of one energy for all noise levels and of a noise-conditioned one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ibc.component import check_positive
from ibc.energies import BoundMLPEnergy
from ibc.errors import UserError
from ibc.losses.base import Loss, LossAndMetrics, Metrics, bind, check_stds, mismatch
from ibc.random import RandomSource
from ibc.spec import Batch


@dataclass(eq=False, kw_only=True)
class DenoisingScoreMatching(Loss):
    """Denoising score matching of one energy at all noise scales at once, in the unit cube.

    For ``y = a + sigma * xi`` the loss is ``|dE/dy - (y - a)|^2 / (sigma + floor)^2``, averaged over dimensions. Its
    optimum is ``dE/dy = y - E[a | y, o]``, the residual of the least-squares denoiser (Vincent 2011; without a noise
    level as input, Sun et al. 2025): minima at the demonstrated actions, with curvature one, so that a gradient step of
    one lands on them. Every example gives a target for *each* action dimension, where InfoNCE gives one number;
    this makes an energy precise in many dimensions. It does not determine the relative depth of minima that no noise
    connects. A proposal that the energy is not relative to is trained beside it, by its squared error.

    Args:
        min_std, max_std: of the noise; sigma is ``min_std + (max_std - min_std) * u^2`` with u uniform.
        floor: errors below this size are not magnified further.
        num: perturbed copies of each example.
        reference_size: numbers of an action from which on the noise grows with the root of their number, as distances
            between actions do: the noise of one size that separates two actions in few numbers tells them apart with
            certainty in hundreds, and nothing is learned from the observation. None: it never grows.
    """

    min_std: float = 0.003
    max_std: float = 1.0
    floor: float = 0.05
    num: int = 1
    reference_size: int | None = None

    def __post_init__(self) -> None:
        check_positive(self, "num")
        check_stds(self.min_std, self.max_std)
        if self.reference_size is not None and self.reference_size < 1:
            raise UserError(f"reference_size={self.reference_size}; it must be at least 1")

    def __call__(self, policy: Any, batch: Batch, rng: RandomSource) -> LossAndMetrics:
        space, right = bind(self, policy, batch)
        count, _, size = right.shape
        std = self.min_std + (self.max_std - self.min_std) * rng.uniform(count, self.num, 1) ** 2
        if self.reference_size is not None:
            std = std * max(1.0, math.sqrt(size / self.reference_size))
        shift = std * rng.normal(count, self.num, size)
        gradient = space.gradient(right + shift, create_graph=True)
        loss = ((gradient - shift) / (std + self.floor)).square().mean()
        metrics: Metrics = {"denoising": loss.detach()}
        bound = space.bound
        if isinstance(bound, BoundMLPEnergy) and not bound.relative and bound.proposal is not None:
            error = (bound.proposal - right).square().mean()
            metrics["mse"] = error.detach()
            loss = loss + error
        return loss, metrics


@dataclass(eq=False, kw_only=True)
class NoiseConditionedScoreMatching(Loss):
    """For ``y = a + sigma xi``: ``|dU(o, y, sigma)/dy - (y - a)|^2 / (sigma + floor)^2``, sigma drawn evenly in log.

    Denoising score matching (Vincent 2011) with the weighting by variance of Song and Ermon 2019, section 4.2: the
    energy view of diffusion. :class:`DenoisingScoreMatching` is the same for one energy that serves all levels at once.

    Args:
        floor: errors below this size are not magnified further.
    """

    floor: float = 0.01

    def __call__(self, policy: Any, batch: Batch, rng: RandomSource) -> LossAndMetrics:
        space, right = bind(self, policy, batch)
        if not space.sigmas:
            raise mismatch(
                self, policy.energy, "levels of noise (policy=implicit_noise_conditioned)"
            )
        high, low = space.sigmas[0], space.sigmas[-1]
        std = low * (high / low) ** rng.uniform(len(right), 1)
        shift = std.unsqueeze(1) * rng.normal(*right.shape)
        gradient = space.at(std).gradient(right + shift, create_graph=True)
        loss = ((gradient - shift) / (std.unsqueeze(1) + self.floor)).square().mean()
        return loss, {"denoising": loss.detach()}
