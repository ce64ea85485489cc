"""A search in which some numbers of the action are given: what has been promised stays as it is."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ibc.energies.unit_space import UnitSpace
from ibc.random import RandomSource


class HeldSpace(UnitSpace):
    """The space of an energy of the numbers that are free, given the others: an exact condition, not a penalty.

    The search box has no width where a number is held. At a noise level, the gradient of a held number leads to its
    value in proportion to the noise, so that a search that follows noise levels sees it blurred like the others, and
    ends at it.

    Args:
        space: of the energy of all numbers.
        held: values in the unit cube, for all candidates of an observation; NaN where a number is free.
        is_noisy: whether the energy is one of a noise level.
    """

    def __init__(
        self, space: UnitSpace, held: Float[Tensor, "B 1 A"], *, is_noisy: bool = False
    ) -> None:
        super().__init__(space.bound, space.bounds, space.temperature)
        self.plan = space.plan
        self.held, self.is_noisy = held, is_noisy
        self.free = torch.isnan(held)
        self.low = torch.where(self.free, space.low, held)
        self.high = torch.where(self.free, space.high, held)

    def gradient(
        self, unit: Float[Tensor, "B N A"], *, create_graph: bool = False
    ) -> Float[Tensor, "B N A"]:
        gradient = super().gradient(unit, create_graph=create_graph)
        of_held = unit - self.held if self.is_noisy else torch.zeros_like(gradient)
        return torch.where(self.free, gradient, of_held)

    def clamp(self, unit: Float[Tensor, "B N A"]) -> Float[Tensor, "B N A"]:
        return torch.clamp(unit, self.low, self.high)

    def uniform(self, batch: int, count: int, rng: RandomSource) -> Float[Tensor, "B N A"]:
        return self.low + (self.high - self.low) * rng.uniform(batch, count, self.low.shape[-1])

    def low_precision(self) -> UnitSpace:
        cheap = super().low_precision()
        return self if cheap is self else HeldSpace(cheap, self.held, is_noisy=self.is_noisy)

    def tempered(self, temperature: float) -> UnitSpace:
        return HeldSpace(super().tempered(temperature), self.held, is_noisy=self.is_noisy)

    def at(self, sigma: Float[Tensor, "B 1"]) -> UnitSpace:
        return HeldSpace(super().at(sigma), self.held, is_noisy=True)

    def at_each(self, sigmas: Float[Tensor, "L B 1"]) -> list[UnitSpace]:
        return [HeldSpace(space, self.held, is_noisy=True) for space in super().at_each(sigmas)]
