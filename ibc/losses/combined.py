"""Several losses at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ibc.losses.base import Loss, LossAndMetrics, Metrics
from ibc.random import RandomSource
from ibc.spec import Batch


class Combined(Loss):
    """The weighted sum of several losses, each on its own part of the batch.

    Denoising trains the positions of minima and InfoNCE their depths; the second costs more and needs fewer examples.

    Args:
        losses: the terms.
        fractions: part of the batch, from its beginning, that each term sees.
        weights: of the terms; all one if not given.
    """

    def __init__(
        self,
        losses: Sequence[Loss],
        fractions: Sequence[float],
        weights: Sequence[float] | None = None,
    ) -> None:
        weights = [1.0] * len(losses) if weights is None else weights
        if not len(losses) == len(fractions) == len(weights) or not losses:
            raise ValueError(
                f"{len(losses)} losses need as many fractions and weights, "
                f"got {len(fractions)} and {len(weights)}"
            )
        if not all(0 < fraction <= 1 for fraction in fractions):
            raise ValueError(f"fractions must be in (0, 1], got {list(fractions)}")
        if min(weights) < 0:
            raise ValueError(f"weights must be at least 0, got {list(weights)}")
        self.losses = list(losses)
        self.fractions = list(fractions)
        self.weights = list(weights)

    def __call__(self, policy: Any, batch: Batch, rng: RandomSource) -> LossAndMetrics:
        values: list[Tensor] = []
        metrics: Metrics = {}
        for loss, fraction, weight in zip(self.losses, self.fractions, self.weights, strict=True):
            count = max(1, round(fraction * len(batch.action)))
            part = Batch({n: o[:count] for n, o in batch.obs.items()}, batch.action[:count])
            value, reported = loss(policy, part, rng)
            values.append(weight * value)
            metrics |= reported
        return torch.stack(values).sum(), metrics

    def is_mean(self) -> bool:
        return all(loss.is_mean() for loss in self.losses)

    def parts(self) -> Sequence[Loss]:
        return self.losses
