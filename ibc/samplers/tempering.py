"""A sampler at decreasing temperatures, so that candidates cross barriers first."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ibc.energies import UnitSpace
from ibc.random import RandomSource
from ibc.samplers.base import Candidates, Sampler, score


class Tempering(Sampler):
    """Simulated annealing (Kirkpatrick et al. 1983): ``sampler`` on ``E / T``, for one T after another.

    With an exact sampler and a last temperature of 1 this samples from ``exp(-E)``; with a low one it finds minima, the
    deeper ones more often. The density of an energy trained by InfoNCE at a temperature is ``exp(-E / temperature)``,
    which is sampled by a last temperature of that value.

    Args:
        sampler: run once at each temperature.
        temperatures: in units of the energy, first to last.
    """

    def __init__(self, sampler: Sampler, temperatures: Sequence[float]) -> None:
        if not temperatures or min(temperatures) <= 0:
            raise ValueError(f"temperatures must be positive numbers, got {list(temperatures)}")
        self.sampler = sampler
        self.temperatures = list(temperatures)
        self.num_candidates = sampler.num_candidates

    def __call__(self, space: UnitSpace, init: Tensor, rng: RandomSource) -> Candidates:
        unit = init
        for temperature in self.temperatures:
            unit = self.sampler(space.tempered(temperature), unit, rng).action
        return score(space, unit)
