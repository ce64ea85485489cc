"""Unrolled optimization: train the search to end at the demonstrated action."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from ibc.component import check_positive
from ibc.errors import UserError
from ibc.losses.base import Loss, LossAndMetrics, bind
from ibc.random import RandomSource
from ibc.spec import Batch


@dataclass(eq=False, kw_only=True)
class Unrolled(Loss):
    """Gradient steps from uniform candidates, differentiated through, must end at the demonstrated action.

    (Domke 2012; with noise as in energy-based transformers, Gladstone et al. 2025.) It uses no negatives and learns no
    density; the search should use the number and length of steps that were trained. All steps are compared with the
    target, later ones with more weight. Of two modes it learns the mean, as regression does.

    A random number and a random length of steps keep the energy from relying on one schedule, so that a search may take
    more steps, or fewer (as in EBT-Policy, Davies et al. 2025). The length that suits is learned as the energy's scale.

    Args:
        num: starts for each example.
        num_steps: gradient steps; the smallest number of them if ``max_steps`` is given.
        step_size: of each, in the unit cube.
        noise_std: of the noise after each step but the last, in the unit cube.
        max_steps: if given, each batch takes a number of steps that is drawn from ``num_steps`` to this one.
        step_jitter: steps of an example are multiplied by ``exp(step_jitter * xi)`` with a normal xi.

    Raises:
        UserError: a number is not positive, or ``max_steps`` less than ``num_steps``.
    """

    num: int
    num_steps: int
    step_size: float
    noise_std: float = 0.0
    max_steps: int | None = None
    step_jitter: float = 0.0

    def __post_init__(self) -> None:
        check_positive(self, "num", "num_steps", "step_size")
        if self.max_steps is not None and self.max_steps < self.num_steps:
            raise UserError(f"max_steps={self.max_steps} is less than num_steps={self.num_steps}")

    def is_mean(self) -> bool:
        """See :class:`Loss`: the number of steps may be drawn for the batch."""
        return self.max_steps is None

    def __call__(self, policy: Any, batch: Batch, rng: RandomSource) -> LossAndMetrics:
        space, right = bind(self, policy, batch)
        unit = space.uniform(len(right), self.num, rng)
        loss = unit.new_zeros(())
        num_steps = self.num_steps
        if self.max_steps is not None:
            spare = self.max_steps - self.num_steps + 1
            num_steps += int(spare * rng.uniform(len(right), 1)[0, 0])
        step_size = self.step_size * torch.ones_like(right[..., :1])
        if self.step_jitter > 0:
            step_size = step_size * torch.exp(self.step_jitter * rng.normal(len(right), 1, 1))
        for i in range(1, num_steps + 1):
            unit = unit - step_size * space.gradient(unit, create_graph=True)
            error = F.smooth_l1_loss(unit, right.expand_as(unit), beta=0.1)
            loss = loss + i * error
            if i < num_steps and self.noise_std > 0:
                unit = unit + self.noise_std * rng.normal(*unit.shape)
        if self.max_steps is not None and self.noise_std > 0:  # as many draws in every process
            for _ in range(num_steps, self.max_steps):
                rng.normal(*unit.shape)
        loss = loss * (2 / (num_steps * (num_steps + 1)))
        return loss, {"unrolled": loss.detach(), "last_error": error.detach()}
