"""Langevin dynamics through decreasing noise levels."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from ibc.component import check_positive
from ibc.energies import UnitSpace
from ibc.errors import UserError
from ibc.random import RandomSource
from ibc.samplers.base import Candidates, Sampler, score


@dataclass(eq=False, kw_only=True)
class AnnealedLangevin(Sampler):
    """Langevin steps at each noise level of a noise-conditioned energy (Song and Ermon 2019, algorithm 1).

    With ``U`` of curvature one, a step of size ``rate * sigma^2`` on ``U / sigma^2`` is ``a - rate U' / 2 + sqrt(rate)
    sigma xi``: the same part of the way at every level. It samples from the demonstrations' density up to errors of
    step and network, and the last step goes to the mean of the denoised actions.

    Args:
        num_candidates: independent chains.
        steps_per_level: of each.
        rate: the part of the level's variance that one step is long.
    """

    num_candidates: int
    steps_per_level: int
    rate: float = 0.5

    def __post_init__(self) -> None:
        check_positive(self, "num_candidates", "steps_per_level")
        if not 0 < self.rate < 4:
            raise ValueError(
                f"rate must be in (0, 4), beyond which chains diverge; got {self.rate}"
            )

    def __call__(self, space: UnitSpace, init: Tensor, rng: RandomSource) -> Candidates:
        """See :class:`Sampler`.

        Raises:
            UserError: the energy has no levels.
        """
        if not space.sigmas:
            raise UserError(
                "annealed Langevin needs an energy with levels of noise: policy=implicit_noise_conditioned"
            )
        unit = init
        for sigma in space.sigmas:
            blurred = space.at(unit.new_full((len(unit), 1), sigma))
            for _ in range(self.steps_per_level):
                noise = math.sqrt(self.rate) * sigma * rng.normal(*unit.shape)
                unit = unit - 0.5 * self.rate * blurred.gradient(unit) + noise
        return score(space, space.clamp(unit - space.gradient(unit)))
