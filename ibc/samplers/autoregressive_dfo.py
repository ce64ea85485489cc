"""Derivative-free search in one action dimension after another."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ibc.component import check_positive
from ibc.energies import UnitSpace
from ibc.random import RandomSource
from ibc.samplers.base import Candidates, Sampler, score
from ibc.samplers.dfo import resample

#: Candidates of the last set that are scored by the whole energy, and returned.
FINALISTS = 4


@dataclass(eq=False, kw_only=True)
class AutoregressiveDFO(Sampler):
    """The IBC paper's algorithm 2: dimension j is selected by ``E_j(o, a_1..a_j)`` before later ones are.

    Each candidate's prefix survives in proportion to ``exp(-E_j)``, so the set is a particle filter over dimensions and
    its size need not grow with their number. Candidates are perturbed one dimension at a time, by less in each round.
    Without prefix energies, every dimension is selected by the whole energy (coordinate-wise search).

    It is an optimizer: the last set is not distributed as ``exp(-E)``. As in the paper, survival ignores the ``Z_j`` of
    a prefix (see :class:`AutoregressiveEnergy`), which only the energies of the last ``FINALISTS`` include.

    Args:
        num_candidates: in every round.
        num_iterations: rounds over all dimensions.
        noise_std: of the perturbation in the second round, in the unit cube; the first round has none.
        shrink: factor on that deviation after each round.
        temperature: of the softmax by which candidates survive.
    """

    num_candidates: int
    num_iterations: int
    noise_std: float
    shrink: float
    temperature: float = 1.0

    def __post_init__(self) -> None:
        check_positive(self, "num_candidates", "num_iterations", "temperature")

    def __call__(self, space: UnitSpace, init: Tensor, rng: RandomSource) -> Candidates:
        """See :class:`Sampler`; ends with ``FINALISTS`` candidates, each with its whole energy."""
        batch, count, size = init.shape
        unit = init
        at = torch.arange(size, device=unit.device).view(-1, 1)
        std = 0.0
        for i in range(self.num_iterations):
            total = unit.new_zeros(batch, count)
            for j in range(size):
                if i > 0:
                    column = unit[..., j] + std * rng.normal(batch, count)
                    unit = space.clamp(unit.index_copy(2, at[j], column.unsqueeze(-1)))
                with torch.no_grad():
                    value = space.prefix(unit, j)
                total = total + value if space.is_autoregressive else value
                last = i == self.num_iterations - 1 and j == size - 1
                if not last:  # the last set is scored and not resampled
                    index = resample(value, rng.uniform(batch, count), self.temperature)
                    prefix = index.unsqueeze(-1).expand(-1, -1, j + 1)
                    unit = torch.cat([unit.gather(1, prefix), unit[..., j + 1 :]], -1)
                    total = total.gather(1, index)
            std = self.noise_std if i == 0 else std * self.shrink
        finalists = Candidates(unit, total).lowest(FINALISTS)
        return score(space, finalists.action)
