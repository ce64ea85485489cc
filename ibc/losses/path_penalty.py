"""A penalty on the slope of an energy all along the chains that look for negatives."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ibc.energies import EnergyFn, action_gradient, low_precision
from ibc.losses.gradient_penalty import GradientPenalty
from ibc.losses.regularizers import Regularizer
from ibc.nn import ActionBounds
from ibc.random import RandomSource
from ibc.samplers import Sampler, uniform_proposal


class Recorder:
    """An energy that remembers the actions at which its slope was asked for."""

    def __init__(self, energy: EnergyFn) -> None:
        self.energy = low_precision(energy)
        self.visited: list[Tensor] = []

    def __call__(self, action: Float[Tensor, "B N A"], /) -> Float[Tensor, "B N"]:
        """See :class:`EnergyFn`."""
        return self.energy(action)

    def action_gradient(self, action: Float[Tensor, "B N A"], /) -> Float[Tensor, "B N A"]:
        """See :class:`HasActionGradient`."""
        self.visited.append(action.detach())
        return action_gradient(self.energy, action)


class PathPenalty(Regularizer):
    """The gradient penalty at *all* steps of chains from an even spread, not only where they end.

    An energy that is tame where chains end can still be steep on the way, where a step then leads astray. (The official
    code has it as the choice between the final step and all.)

    Args:
        sampler: makes the chains; one that follows gradients.
        chains: how many an example.
        weight, margin: as for the penalty at the end.
    """

    name = "path_penalty"

    def __init__(
        self, *, sampler: Sampler, chains: int, weight: float = 1.0, margin: float = 1.0
    ) -> None:
        self.sampler = sampler
        self.chains = chains
        self.penalty = GradientPenalty(weight=weight, margin=margin)

    def __call__(
        self,
        energy: EnergyFn,
        action: Float[Tensor, "B N A"],
        bounds: ActionBounds,
        rng: RandomSource,
    ) -> Float[Tensor, ""]:
        """See :class:`Regularizer`."""
        recorder = Recorder(energy)
        init = uniform_proposal(len(action), self.chains, bounds, rng)
        self.sampler(recorder, init, bounds, rng)
        return self.penalty(energy, torch.cat(recorder.visited, 1), bounds, rng)
