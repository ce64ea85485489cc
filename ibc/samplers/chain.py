"""A sequence of samplers, each starting from the best candidates of the one before."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ibc.energies import UnitSpace
from ibc.random import RandomSource
from ibc.samplers.base import Candidates, Sampler


class Chain(Sampler):
    """Runs ``samplers`` in turn; each starts from the ``num_candidates`` best candidates of the one before.

    A wide, cheap search followed by a narrow, exact one is both faster and more precise than either.
    """

    def __init__(self, samplers: Sequence[Sampler]) -> None:
        if not samplers:
            raise ValueError("a chain needs at least one sampler")
        self.samplers = list(samplers)
        self.num_candidates = self.samplers[0].num_candidates

    def __call__(self, space: UnitSpace, init: Tensor, rng: RandomSource) -> Candidates:
        candidates = self.samplers[0](space, init, rng)
        for sampler in self.samplers[1:]:
            start = candidates.lowest(sampler.num_candidates)
            candidates = sampler(space, start.action, rng)
        return candidates
