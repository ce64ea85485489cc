"""From hot to cold: a sampler at falling temperatures, so that candidates cross barriers before they settle."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from ibc.energies.base import EnergyFn, action_gradient, low_precision
from ibc.nn.action_bounds import ActionBounds
from ibc.random import RandomSource
from ibc.samplers.base import Candidates, Sampler, score


class Tempered:
    """``E / temperature`` as a function of actions, with the gradient and the coarse version of E."""

    def __init__(self, energy: EnergyFn, temperature: float) -> None:
        self.energy = energy
        self.temperature = temperature

    def __call__(self, action: Float[Tensor, "B N A"], /) -> Float[Tensor, "B N"]:
        """See :class:`EnergyFn`."""
        return self.energy(action) / self.temperature

    def action_gradient(self, action: Float[Tensor, "B N A"], /) -> Float[Tensor, "B N A"]:
        """See :class:`HasActionGradient`."""
        return action_gradient(self.energy, action) / self.temperature

    def low_precision(self) -> EnergyFn:
        """See :class:`HasLowPrecision`."""
        return Tempered(low_precision(self.energy), self.temperature)


class Tempering(Sampler):
    """Simulated annealing (Kirkpatrick et al. 1983): ``sampler`` on ``E / T``, for one T after another.

    With a sampler that is exact and a last temperature of 1 this samples from ``exp(-E)``; with a low one it finds
    minima, the deeper ones more often. An energy trained by InfoNCE at a temperature means ``exp(-E / temperature)``,
    so that is where to end if samples are wanted.

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

    def __call__(
        self,
        energy: EnergyFn,
        init: Float[Tensor, "B N A"],
        bounds: ActionBounds,
        rng: RandomSource,
    ) -> Candidates:
        """See :class:`Sampler`."""
        action = init
        for temperature in self.temperatures:
            action = self.sampler(Tempered(energy, temperature), action, bounds, rng).action
        return score(energy, action)
