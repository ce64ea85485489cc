"""Langevin dynamics through falling levels of noise."""

from __future__ import annotations

import math

from jaxtyping import Float
from torch import Tensor

from ibc.energies.base import EnergyFn, action_gradient
from ibc.errors import UserError
from ibc.nn.action_bounds import ActionBounds
from ibc.random import RandomSource
from ibc.samplers.base import Candidates, Sampler, score


class AnnealedLangevin(Sampler):
    """A few Langevin steps on each level of a leveled energy (Song and Ermon 2019, algorithm 1), then one clean step.

    With ``U`` of curvature one, a step of size ``rate * sigma^2`` on ``U / sigma^2`` is ``a - rate U' / 2 + sqrt(rate)
    sigma xi``: the same part of the way at every level. It samples from the demonstrations' density up to errors of
    step and network, and the last step goes to the mean of what is left.

    Args:
        num_candidates: independent chains.
        steps_per_level: of each.
        rate: the part of the level's variance that one step is long.
    """

    def __init__(self, *, num_candidates: int, steps_per_level: int, rate: float = 0.5) -> None:
        if not 0 < rate < 4:
            raise ValueError(f"rate must be in (0, 4), beyond which chains diverge; got {rate}")
        self.num_candidates = num_candidates
        self.steps_per_level = steps_per_level
        self.rate = rate

    def __call__(
        self,
        energy: EnergyFn,
        init: Float[Tensor, "B N A"],
        bounds: ActionBounds,
        rng: RandomSource,
    ) -> Candidates:
        """See :class:`Sampler`.

        Raises:
            UserError: the energy has no levels.
        """
        sigmas, at = getattr(energy, "sigmas", None), getattr(energy, "at", None)
        if sigmas is None or at is None:
            raise UserError(
                "annealed Langevin needs an energy with levels of noise: policy=implicit_noise_conditioned"
            )
        unit = bounds.to_unit(init)
        for level in sigmas:
            blurred = at(unit.new_full((len(unit), 1), level))
            for _ in range(self.steps_per_level):
                slope = action_gradient(blurred, bounds.from_unit(unit)) * bounds.half_range
                shake = math.sqrt(self.rate) * level * rng.normal(*unit.shape)
                unit = unit - 0.5 * self.rate * slope + shake
        unit = unit - action_gradient(energy, bounds.from_unit(unit)) * bounds.half_range
        return score(energy, bounds.from_unit(bounds.clamp_unit(unit)))
