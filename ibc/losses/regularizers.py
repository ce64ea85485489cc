"""Penalties on energies beside the objective."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from ibc.component import Component
from ibc.energies import UnitSpace
from ibc.errors import UserError
from ibc.losses.base import LossAndMetrics
from ibc.random import RandomSource
from ibc.samplers import Sampler


class Regularizer(Component, ABC):
    """A penalty on an energy at the actions that a loss compares.

    Attributes:
        name: under which the loss reports it.
    """

    name: ClassVar[str]

    @abstractmethod
    def __call__(
        self, space: UnitSpace, unit: Float[Tensor, "B N A"], rng: RandomSource
    ) -> Float[Tensor, ""]:
        """Compute the weighted penalty, differentiable in the energy's parameters.

        Args:
            space: the bound energy.
            unit: the actions that the loss compares, in the unit cube.
            rng: random numbers.
        """


def gradient_penalty(gradient: Float[Tensor, "B N A"], margin: float = 1.0) -> Float[Tensor, " B"]:
    """``mean_n max(0, |gradient_n|_inf - margin)^2`` over all candidates of an example.

    As in the official code (google-research/ibc, ``ibc/losses/gradient_loss.py``), which averages over negatives and
    the positive; the paper (appendix B.3.1) writes a sum over the negatives.
    """
    slope = gradient.abs().amax(-1)
    return (slope - margin).clamp(min=0).square().mean(-1)


@dataclass(eq=False, kw_only=True)
class GradientPenalty(Regularizer):
    """Penalizes gradients above ``margin``, in the unit cube."""

    name: ClassVar[str] = "gradient_penalty"
    weight: float = 1.0
    margin: float = 1.0

    def __call__(self, space: UnitSpace, unit: Tensor, rng: RandomSource) -> Tensor:
        gradient = space.gradient(unit.detach(), create_graph=True)
        return self.weight * gradient_penalty(gradient, self.margin).mean()


class RecordingSpace(UnitSpace):
    """A unit space that records the actions at which its gradient is computed."""

    def __init__(self, space: UnitSpace) -> None:
        super().__init__(space.bound.low_precision(), space.bounds)
        self.visited: list[Tensor] = []

    def gradient(self, unit: Tensor, *, create_graph: bool = False) -> Tensor:
        self.visited.append(unit.detach())
        return super().gradient(unit, create_graph=create_graph)

    def low_precision(self) -> UnitSpace:
        """Return the space itself, so that all actions are recorded."""
        return self


@dataclass(eq=False, kw_only=True)
class PathPenalty(GradientPenalty):
    """The gradient penalty at *all* steps of chains from uniform candidates, not only where they end.

    An energy that is flat where chains end can still be steep on the way. (The official code offers the final step or
    all.)

    Args:
        sampler: makes the chains; one that follows gradients.
        chains: how many an example.
        weight, margin: as for the penalty at the end.

    Raises:
        UserError: in use, the sampler computes no gradient of this energy.
    """

    name: ClassVar[str] = "path_penalty"
    sampler: Sampler
    chains: int

    def __call__(self, space: UnitSpace, unit: Tensor, rng: RandomSource) -> Tensor:
        recorded = RecordingSpace(space)
        self.sampler(recorded, space.uniform(len(unit), self.chains, rng), rng)
        if not recorded.visited:
            name = type(self.sampler).__name__
            raise UserError(f"PathPenalty with {name}; it needs a sampler that follows gradients")
        return super().__call__(space, torch.cat(recorded.visited, 1), rng)


@dataclass(eq=False, kw_only=True)
class EnergyMagnitude(Regularizer):
    """``weight * mean E^2``, which fixes the additive constant of energies (Du and Mordatch 2019)."""

    name: ClassVar[str] = "energy_magnitude"
    weight: float

    def __call__(self, space: UnitSpace, unit: Tensor, rng: RandomSource) -> Tensor:
        return self.weight * space.energy(unit.detach()).square().mean()


def penalize(
    regularizers: Sequence[Regularizer], space: UnitSpace, unit: Tensor, rng: RandomSource
) -> LossAndMetrics:
    """Compute the sum of all penalties, and that of each name."""
    total = unit.new_zeros(())
    reported: dict[str, Tensor] = {}
    for regularizer in regularizers:
        value = regularizer(space, unit, rng)
        total = total + value
        reported[regularizer.name] = reported.get(regularizer.name, 0) + value.detach()
    return total, reported
