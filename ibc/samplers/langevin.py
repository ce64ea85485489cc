"""Langevin search: follow the energy's gradient, with noise that fades along with the steps."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from ibc.energies.base import EnergyFn, action_gradient, low_precision
from ibc.nn.action_bounds import ActionBounds
from ibc.random import RandomSource
from ibc.samplers.base import Candidates, Sampler, score

#: The part of a chain, at its end, that follows the exact energy; before, a coarse one will do.
POLISH = 0.05


def polynomial_schedule(num_steps: int, init: float, final: float, power: float) -> list[float]:
    """``(init - final) * (1 - i / (num_steps - 1)) ** power + final``: the last step is exactly ``final``."""
    if num_steps == 1:
        return [init]
    return [(init - final) * (1 - i / (num_steps - 1)) ** power + final for i in range(num_steps)]


class IBCLangevin(Sampler):
    """Annealed, noisy gradient descent as in the paper (appendix B.3) and its code.

    One step is ``a <- clip(a - clip(s * (g / 2 + noise_std * xi)))``. The noise is multiplied by the step itself and
    not by its square root, so this is an optimizer: its temperature falls to zero with the step, and it does not sample
    from ``exp(-E)``.

    Args:
        num_candidates: candidates at the start, and all along.
        num_iterations: steps.
        step_init, step_final, power: the polynomial schedule of step sizes, in the unit cube.
        noise_std: standard deviation of the noise before it is scaled by the step; 0 is plain gradient descent.
        delta_clip: the largest move of one step in each dimension, as a part of half the search box.
        settle: if given, an observation's candidates stay where they are once none of them moves further than this in
            one step, in the unit cube, and the chain ends when all have settled. Of use without noise only.
    """

    def __init__(
        self,
        *,
        num_candidates: int,
        num_iterations: int,
        step_init: float,
        step_final: float,
        power: float = 2.0,
        noise_std: float = 1.0,
        delta_clip: float = 0.1,
        settle: float | None = None,
    ) -> None:
        if settle is not None and noise_std > 0:
            raise ValueError(f"settle={settle} needs noise_std=0: a chain with noise never settles")
        self.num_candidates = num_candidates
        self.num_iterations = num_iterations
        self.step_init = step_init
        self.step_final = step_final
        self.power = power
        self.noise_std = noise_std
        self.delta_clip = delta_clip
        self.settle = settle

    def __call__(
        self,
        energy: EnergyFn,
        init: Float[Tensor, "B N A"],
        bounds: ActionBounds,
        rng: RandomSource,
    ) -> Candidates:
        """See :class:`Sampler`."""
        unit = bounds.to_unit(init)
        limit = self.delta_clip * 0.5 * (bounds.unit_high - bounds.unit_low)
        schedule = self.schedule()
        moving = torch.ones(len(init), 1, 1, dtype=torch.bool, device=init.device)
        cheap, exact_from = low_precision(energy), len(schedule) - math.ceil(POLISH * len(schedule))
        for i, step in enumerate(schedule):
            now = cheap if i < exact_from else energy
            # The chain rule: what is steep in meters may be flat in the unit cube.
            gradient = action_gradient(now, bounds.from_unit(unit)) * bounds.half_range
            delta = 0.5 * gradient
            if self.noise_std > 0:
                delta = delta + self.noise_std * rng.normal(*init.shape)
            delta = (step * delta).clamp(-limit, limit)
            moved = bounds.clamp_unit(unit - delta)
            if self.settle is not None:  # row by row, so that no item depends on its neighbors
                moving = moving & ((moved - unit).abs().amax((1, 2), keepdim=True) > self.settle)
                if not bool(moving.any()):
                    break
                moved = torch.where(moving, moved, unit)
            unit = moved
        return score(energy, bounds.from_unit(unit))

    def schedule(self) -> list[float]:
        """The step sizes, first to last."""
        return polynomial_schedule(self.num_iterations, self.step_init, self.step_final, self.power)
