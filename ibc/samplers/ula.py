"""Langevin dynamics as in textbooks, whose noise grows with the square root of the step."""

from __future__ import annotations

import math

from jaxtyping import Float
from torch import Tensor

from ibc.energies.base import EnergyFn, action_gradient
from ibc.nn.action_bounds import ActionBounds
from ibc.random import RandomSource
from ibc.samplers.base import Candidates, Sampler, score
from ibc.samplers.langevin import polynomial_schedule
from ibc.samplers.reflection import reflect


class ULA(Sampler):
    """``a <- a - s g / 2 + sqrt(s) xi``: samples from ``exp(-E)`` up to an error of the order of the step.

    (Roberts and Tweedie 1996.) On a quadratic of curvature k its variance is ``1 / (k (1 - s k / 4))`` and it diverges
    beyond ``s k = 4``; :class:`MALA` has neither fault. It differs from :class:`IBCLangevin`, the optimizer
    of the IBC paper, in the power of the step before the noise alone.

    Args:
        num_candidates: independent chains.
        num_iterations: steps of each.
        step_init, step_final: step sizes at both ends of a linear schedule, in the unit cube squared.
    """

    def __init__(
        self, *, num_candidates: int, num_iterations: int, step_init: float, step_final: float
    ) -> None:
        self.num_candidates = num_candidates
        self.num_iterations = num_iterations
        self.step_init = step_init
        self.step_final = step_final

    def __call__(
        self,
        energy: EnergyFn,
        init: Float[Tensor, "B N A"],
        bounds: ActionBounds,
        rng: RandomSource,
    ) -> Candidates:
        """See :class:`Sampler`."""
        unit = bounds.to_unit(init)
        for step in polynomial_schedule(self.num_iterations, self.step_init, self.step_final, 1.0):
            gradient = action_gradient(energy, bounds.from_unit(unit)) * bounds.half_range
            moved = unit - 0.5 * step * gradient + math.sqrt(step) * rng.normal(*unit.shape)
            unit, _ = reflect(moved, bounds)
        return score(energy, bounds.from_unit(unit))
