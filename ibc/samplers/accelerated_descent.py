"""Gradient descent with momentum that ends when the gradient is small."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ibc.component import check_positive
from ibc.energies import UnitSpace
from ibc.errors import UserError
from ibc.random import RandomSource
from ibc.samplers.base import Candidates, Sampler, score


@dataclass(eq=False, kw_only=True)
class AcceleratedDescent(Sampler):
    """Nesterov's accelerated descent (1983); a candidate rests where the gradient is below a tolerance.

    How many steps a decision takes follows from the energy: an observation whose action is near the start of the search
    needs few. Candidates do not influence one another, so a batch takes as many as its slowest one.

    Args:
        num_candidates: candidates.
        max_steps: at most.
        step_size: in the unit cube.
        momentum: part of the last move that is repeated; 0 is plain descent.
        tolerance: root mean square of the gradient at which a candidate rests.

    Raises:
        UserError: a number outside of its range.
    """

    num_candidates: int = 1
    max_steps: int = 20
    step_size: float = 0.05
    momentum: float = 0.0
    tolerance: float = 0.05

    def __post_init__(self) -> None:
        check_positive(self, "num_candidates", "max_steps", "step_size")
        if not 0 <= self.momentum < 1:
            raise UserError(f"momentum={self.momentum}; it must be at least 0 and below 1")

    def __call__(self, space: UnitSpace, init: Tensor, rng: RandomSource) -> Candidates:
        unit, move = init, torch.zeros_like(init)
        rests = torch.zeros_like(init[..., :1], dtype=torch.bool)
        for _ in range(self.max_steps):
            ahead = unit + self.momentum * move
            gradient = space.gradient(ahead)
            rests |= gradient.square().mean(-1, keepdim=True) <= self.tolerance**2
            if rests.device.type == "cpu" and bool(rests.all()):
                break  # on a GPU, asking would cost more than the steps that are left
            moved = space.clamp(ahead - self.step_size * gradient)
            move = torch.where(rests, 0.0, moved - unit)
            unit = unit + move
        return score(space, unit)
