"""Penalties on energies beside the objective."""

from __future__ import annotations

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor

from ibc.component import Component
from ibc.energies import UnitSpace
from ibc.random import RandomSource


class Regularizer(Component, ABC):
    """A penalty on an energy at the actions that a loss compares.

    Attributes:
        name: under which the loss reports it.
    """

    name: str

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


class EnergyMagnitude(Regularizer):
    """``weight * mean E^2``, which fixes the additive constant of energies (Du and Mordatch 2019)."""

    name = "energy_magnitude"

    def __init__(self, *, weight: float) -> None:
        self.weight = weight

    def __call__(
        self, space: UnitSpace, unit: Float[Tensor, "B N A"], rng: RandomSource
    ) -> Float[Tensor, ""]:
        """See :class:`Regularizer`."""
        return self.weight * space.energy(unit.detach()).square().mean()
