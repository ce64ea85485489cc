"""The unadjusted Langevin algorithm."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from ibc.component import check_positive
from ibc.energies import UnitSpace
from ibc.random import RandomSource
from ibc.samplers.base import Candidates, Sampler, score
from ibc.samplers.gradient_descent import polynomial_schedule
from ibc.samplers.reflection import reflect


@dataclass(eq=False, kw_only=True)
class ULA(Sampler):
    """``a <- a - s g / 2 + sqrt(s) xi``: samples from ``exp(-E)`` up to an error of the order of the step.

    (Roberts and Tweedie 1996.) On a quadratic of curvature k its variance is ``1 / (k (1 - s k / 4))`` and it diverges
    beyond ``s k = 4``; :class:`MALA` has neither fault. It differs from :class:`IBCLangevin`, the optimizer
    of the IBC paper, only in the power of the step that multiplies the noise.

    Args:
        num_candidates: independent chains.
        num_iterations: steps of each.
        step_init, step_final: step sizes at both ends of a linear schedule, in the unit cube squared.
    """

    num_candidates: int
    num_iterations: int
    step_init: float
    step_final: float

    def __post_init__(self) -> None:
        check_positive(self, "num_candidates", "num_iterations", "step_init")
        # Numbers that give no schedule are refused before the first search.
        polynomial_schedule(self.num_iterations, self.step_init, self.step_final, 1.0)

    def __call__(self, space: UnitSpace, init: Tensor, rng: RandomSource) -> Candidates:
        unit = init
        for step in polynomial_schedule(self.num_iterations, self.step_init, self.step_final, 1.0):
            moved = (
                unit - 0.5 * step * space.gradient(unit) + math.sqrt(step) * rng.normal(*unit.shape)
            )
            unit, _ = reflect(moved, space)
        return score(space, unit)
