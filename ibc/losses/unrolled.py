"""Unrolled optimization: the search itself is trained to end at the demonstrated action."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ibc.energies import EnergyFn
from ibc.energies.base import HasActionGradient
from ibc.losses.base import Loss, Metrics, required
from ibc.random import RandomSource
from ibc.samplers import uniform_proposal
from ibc.spec import Batch


class Unrolled(Loss):
    """Gradient steps from anywhere, differentiated through, must land on the demonstrated action.

    (Domke 2012; with noise as in energy-based transformers, Gladstone et al. 2025.) No negatives and no density: only
    the path counts, and only as many steps of the length that was trained should be searched with. All steps are
    compared with the target, later ones more. Where there are two answers it aims between them, as regression does.

    Args:
        num: starts for each example.
        num_steps: gradient steps.
        step_size: of each, in the unit cube.
        noise_std: of the noise after each step but the last, in the unit cube.
    """

    def __init__(
        self, *, num: int, num_steps: int, step_size: float, noise_std: float = 0.0
    ) -> None:
        self.num = num
        self.num_steps = num_steps
        self.step_size = step_size
        self.noise_std = noise_std

    def __call__(
        self, policy: Any, batch: Batch, rng: RandomSource
    ) -> tuple[Float[Tensor, ""], Metrics]:
        """See :class:`Loss`."""
        policy = required(self, policy, "energy", "an energy")
        bounds, energy_fn = policy.bounds, policy.energy.bind(batch.obs)
        right = bounds.to_unit(batch.action).unsqueeze(1)
        unit = bounds.to_unit(uniform_proposal(len(right), self.num, bounds, rng))
        loss = unit.new_zeros(())
        for i in range(1, self.num_steps + 1):
            slope = slope_with_graph(energy_fn, bounds.from_unit(unit)) * bounds.half_range
            unit = unit - self.step_size * slope
            error = F.smooth_l1_loss(unit, right.expand_as(unit), beta=0.1)
            loss = loss + i * error
            if i < self.num_steps and self.noise_std > 0:
                unit = unit + self.noise_std * rng.normal(*unit.shape)
        loss = loss * (2 / (self.num_steps * (self.num_steps + 1)))
        return loss, {"unrolled": loss.detach(), "last_error": error.detach()}


def slope_with_graph(energy: EnergyFn, action: Float[Tensor, "B N A"]) -> Float[Tensor, "B N A"]:
    """``dE/da`` as a function of parameters *and* actions, so that one step can be differentiated through the next."""
    if isinstance(energy, HasActionGradient):
        return energy.action_gradient(action)
    if not action.requires_grad:
        action = action.requires_grad_()
    (slope,) = torch.autograd.grad(energy(action).sum(), action, create_graph=True)
    return slope
