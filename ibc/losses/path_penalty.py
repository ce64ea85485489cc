"""A penalty on the gradient of an energy all along the chains that draw negatives."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ibc.energies import UnitSpace
from ibc.losses.gradient_penalty import GradientPenalty
from ibc.losses.regularizers import Regularizer
from ibc.random import RandomSource
from ibc.samplers import Sampler


class RecordingSpace(UnitSpace):
    """A unit space that records the actions at which its gradient is computed."""

    def __init__(self, space: UnitSpace) -> None:
        super().__init__(space.bound.low_precision(), space.bounds)
        self.visited: list[Tensor] = []

    def gradient(
        self, unit: Float[Tensor, "B N A"], *, create_graph: bool = False
    ) -> Float[Tensor, "B N A"]:
        """See :class:`UnitSpace`."""
        self.visited.append(unit.detach())
        return super().gradient(unit, create_graph=create_graph)

    def low_precision(self) -> UnitSpace:
        """Return the space itself, so that all actions are recorded."""
        return self


class PathPenalty(Regularizer):
    """The gradient penalty at *all* steps of chains from uniform candidates, not only where they end.

    An energy that is flat where chains end can still be steep on the way. (The official code offers the final step or
    all.)

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
        self, space: UnitSpace, unit: Float[Tensor, "B N A"], rng: RandomSource
    ) -> Float[Tensor, ""]:
        """See :class:`Regularizer`."""
        recorded = RecordingSpace(space)
        self.sampler(recorded, space.uniform(len(unit), self.chains, rng), rng)
        return self.penalty(space, torch.cat(recorded.visited, 1), rng)
