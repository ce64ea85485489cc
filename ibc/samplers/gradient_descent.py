"""Gradient descent on an energy, plain and with the noise of the IBC paper."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from ibc.component import check_positive
from ibc.energies import UnitSpace
from ibc.random import RandomSource
from ibc.samplers.base import Candidates, Sampler, score

#: The part of the steps, at the end, that follows the exact energy; those before use low precision.
EXACT_PART = 0.05


@dataclass(eq=False, kw_only=True)
class GradientDescent(Sampler):
    """One step is ``a <- clip(a - clip(s g / 2))``, as in :class:`IBCLangevin` without noise.

    Args:
        num_candidates: candidates.
        num_iterations: steps.
        step_init, step_final, power: the polynomial schedule of step sizes, in the unit cube.
        delta_clip: the largest move of one step in each dimension, as a part of half the search box.
        settle: if given, an observation's candidates are left where they are once none of them moves further than this
            in one step, in the unit cube, and the search ends when all have settled.
    """

    num_candidates: int
    num_iterations: int
    step_init: float
    step_final: float
    power: float = 2.0
    delta_clip: float = 0.1
    settle: float | None = None

    def __post_init__(self) -> None:
        check_positive(self, "num_candidates", "num_iterations", "delta_clip")
        self.schedule()  # numbers that give none are refused before the first search

    def __call__(self, space: UnitSpace, init: Tensor, rng: RandomSource) -> Candidates:
        unit = init
        limit = self.delta_clip * 0.5 * (space.high - space.low)
        schedule = self.schedule()
        moving = torch.ones(len(init), 1, 1, dtype=torch.bool, device=init.device)
        cheap = space.low_precision()
        exact_from = len(schedule) - math.ceil(EXACT_PART * len(schedule))
        for i, step in enumerate(schedule):
            gradient = (cheap if i < exact_from else space).gradient(unit)
            delta = (step * self.direction(gradient, rng)).clamp(-limit, limit)
            moved = space.clamp(unit - delta)
            if self.settle is not None:  # row by row, so that no item depends on its neighbors
                moving = moving & ((moved - unit).abs().amax((1, 2), keepdim=True) > self.settle)
                if not bool(moving.any()):
                    break
                moved = torch.where(moving, moved, unit)
            unit = moved
        return score(space, unit)

    def direction(
        self, gradient: Float[Tensor, "B N A"], rng: RandomSource
    ) -> Float[Tensor, "B N A"]:
        """Return the move against which a step of size one goes."""
        return 0.5 * gradient

    def schedule(self) -> list[float]:
        """Return the step sizes, first to last."""
        return polynomial_schedule(self.num_iterations, self.step_init, self.step_final, self.power)


@dataclass(eq=False, kw_only=True)
class IBCLangevin(GradientDescent):
    """Annealed, noisy gradient descent as in the paper (appendix B.3) and its code.

    One step is ``a <- clip(a - clip(s * (g / 2 + noise_std * xi)))``. The noise is multiplied by the step itself and
    not by its square root, so this is an optimizer: its temperature falls to zero with the step, and it does not sample
    from ``exp(-E)``.

    Args:
        num_candidates, num_iterations, step_init, step_final, power, delta_clip: as in :class:`GradientDescent`.
        noise_std: standard deviation of the noise before it is multiplied by the step.
    """

    noise_std: float = 1.0
    settle: None = field(init=False, default=None)

    def direction(self, gradient: Tensor, rng: RandomSource) -> Tensor:
        return 0.5 * gradient + self.noise_std * rng.normal(*gradient.shape)


def polynomial_schedule(num_steps: int, init: float, final: float, power: float) -> list[float]:
    """Compute ``(init - final) * (1 - i / (num_steps - 1)) ** power + final``, which ends exactly at ``final``.

    Raises:
        ValueError: a number is negative.
    """
    for name, number in (("step_init", init), ("step_final", final), ("power", power)):
        if number < 0:
            raise ValueError(f"{name}={number}; it must be at least 0")
    if num_steps == 1:
        return [init]
    return [(init - final) * (1 - i / (num_steps - 1)) ** power + final for i in range(num_steps)]
