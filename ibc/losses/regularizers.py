"""What keeps energies in check besides the objective."""

from __future__ import annotations

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor

from ibc.component import Component
from ibc.energies import EnergyFn
from ibc.nn import ActionBounds
from ibc.random import RandomSource


class Regularizer(Component, ABC):
    """A penalty on an energy at the actions that a loss compares.

    Attributes:
        name: under which the loss reports it.
    """

    name: str

    @abstractmethod
    def __call__(
        self,
        energy: EnergyFn,
        action: Float[Tensor, "B N A"],
        bounds: ActionBounds,
        rng: RandomSource,
    ) -> Float[Tensor, ""]:
        """The weighted penalty, differentiable in the energy's parameters."""


class EnergyMagnitude(Regularizer):
    """``weight * mean E^2``: ties the level of energies, of which a difference knows nothing (Du and Mordatch 2019)."""

    name = "energy_magnitude"

    def __init__(self, *, weight: float) -> None:
        self.weight = weight

    def __call__(
        self,
        energy: EnergyFn,
        action: Float[Tensor, "B N A"],
        bounds: ActionBounds,
        rng: RandomSource,
    ) -> Float[Tensor, ""]:
        """See :class:`Regularizer`."""
        return self.weight * energy(action.detach()).square().mean()
