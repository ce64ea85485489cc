"""Unrolled optimization: train the search to end at the demonstrated action."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F

from ibc.losses.base import Loss, LossAndMetrics, unit_space
from ibc.random import RandomSource
from ibc.spec import Batch


@dataclass(eq=False, kw_only=True)
class Unrolled(Loss):
    """Gradient steps from uniform candidates, differentiated through, must end at the demonstrated action.

    (Domke 2012; with noise as in energy-based transformers, Gladstone et al. 2025.) It uses no negatives and learns no
    density; the search should use the number and length of steps that were trained. All steps are compared with the
    target, later ones with more weight. Of two modes it learns the mean, as regression does.

    Args:
        num: starts for each example.
        num_steps: gradient steps.
        step_size: of each, in the unit cube.
        noise_std: of the noise after each step but the last, in the unit cube.
    """

    num: int
    num_steps: int
    step_size: float
    noise_std: float = 0.0

    def __call__(self, policy: Any, batch: Batch, rng: RandomSource) -> LossAndMetrics:
        """See :class:`Loss`."""
        space = unit_space(self, policy, batch)
        right = space.bounds.to_unit(batch.action).unsqueeze(1)
        unit = space.uniform(len(right), self.num, rng)
        loss = unit.new_zeros(())
        for i in range(1, self.num_steps + 1):
            unit = unit - self.step_size * space.gradient(unit, create_graph=True)
            error = F.smooth_l1_loss(unit, right.expand_as(unit), beta=0.1)
            loss = loss + i * error
            if i < self.num_steps and self.noise_std > 0:
                unit = unit + self.noise_std * rng.normal(*unit.shape)
        loss = loss * (2 / (self.num_steps * (self.num_steps + 1)))
        return loss, {"unrolled": loss.detach(), "last_error": error.detach()}
