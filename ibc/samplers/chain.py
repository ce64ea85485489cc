"""One sampler after another, each starting from the best of what the last one found."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from ibc.energies.base import EnergyFn
from ibc.nn.action_bounds import ActionBounds
from ibc.random import RandomSource
from ibc.samplers.base import Candidates, Sampler


class Chain(Sampler):
    """Runs ``samplers`` in turn; stage i starts from its own ``num_candidates`` best candidates of stage i - 1.

    A wide, cheap search followed by a narrow, exact one is both faster and more precise than either.
    """

    def __init__(self, samplers: Sequence[Sampler]) -> None:
        if not samplers:
            raise ValueError("a chain needs at least one sampler")
        self.samplers = list(samplers)
        self.num_candidates = self.samplers[0].num_candidates

    def __call__(
        self,
        energy: EnergyFn,
        init: Float[Tensor, "B N A"],
        bounds: ActionBounds,
        rng: RandomSource,
    ) -> Candidates:
        """See :class:`Sampler`."""
        candidates = self.samplers[0](energy, init, bounds, rng)
        for sampler in self.samplers[1:]:
            start = candidates.lowest(sampler.num_candidates)
            candidates = sampler(energy, start.action, bounds, rng)
        return candidates
