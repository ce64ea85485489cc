"""Negatives: actions that are compared with the demonstrated one."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor

from ibc.component import Component
from ibc.energies import UnitSpace
from ibc.errors import UserError
from ibc.random import RandomSource
from ibc.samplers import Sampler


class Negatives(Component, ABC):
    """Draws actions that are compared with the demonstrated one."""

    @abstractmethod
    def __call__(
        self, space: UnitSpace, positive: Float[Tensor, "B 1 A"], rng: RandomSource
    ) -> Float[Tensor, "B N A"]:
        """Draw detached actions, in the unit cube, given the demonstrated one there."""


class UniformNegatives(Negatives):
    """Uniform over the search box: unbiased, and of little use in many dimensions."""

    def __init__(self, num: int) -> None:
        self.num = num

    def __call__(
        self, space: UnitSpace, positive: Float[Tensor, "B 1 A"], rng: RandomSource
    ) -> Float[Tensor, "B N A"]:
        """See :class:`Negatives`."""
        return space.uniform(len(positive), self.num, rng)


class SampledNegatives(Negatives):
    """What a sampler finds from uniform candidates: wrong actions of low energy (IBC paper, B.3).

    These are distributed by the energy itself, for which InfoNCE makes no correction (Singh et al. 2023, section 3).
    """

    def __init__(self, num: int, sampler: Sampler) -> None:
        """Of the sampler's candidates, ``num`` serve as negatives."""
        if num > sampler.num_candidates:
            raise ValueError(f"num={num} exceeds the sampler's {sampler.num_candidates} candidates")
        self.num = num
        self.sampler = sampler

    def __call__(
        self, space: UnitSpace, positive: Float[Tensor, "B 1 A"], rng: RandomSource
    ) -> Float[Tensor, "B N A"]:
        """See :class:`Negatives`."""
        init = space.uniform(len(positive), self.sampler.num_candidates, rng)
        found = self.sampler(space, init, rng).action
        if found.shape[1] < self.num:
            raise UserError(
                f"{self.num} negatives are wanted of a sampler that ends with {found.shape[1]} candidates"
            )
        return found[:, : self.num]


class NeighborNegatives(Negatives):
    """Neighbors of the demonstrated action, at every scale from the whole box to the precision wanted.

    A scale sigma is drawn log-uniformly for each example, then a center ``z = a + sigma * xi``, and the negatives as
    ``z + sigma * xi_i``. Given z and sigma, the demonstrated action and its negatives are distributed alike up to the
    density of the data, by the symmetry of the Gaussian; so InfoNCE over such a set has its optimum at ``E = -log p +
    c(o)`` *without* a correction for the proposal. (Negatives around ``a`` itself would bias it: a set is then
    asymmetric, and its middle identifies the positive. This is the ranking form of conditional noise-contrastive
    estimation, Ceylan and Gutmann 2018.) No chain is run, which makes a step as cheap as one with uniform negatives,
    and the finest scale sets the precision of the minimum.
    """

    def __init__(self, num: int, min_std: float, max_std: float) -> None:
        """``min_std`` and ``max_std`` are in the unit cube."""
        if not 0 < min_std <= max_std:
            raise ValueError(f"needs 0 < min_std <= max_std, got {min_std} and {max_std}")
        self.num = num
        self.min_std = min_std
        self.max_std = max_std

    def __call__(
        self, space: UnitSpace, positive: Float[Tensor, "B 1 A"], rng: RandomSource
    ) -> Float[Tensor, "B N A"]:
        """See :class:`Negatives`."""
        batch, _, size = positive.shape
        span = math.log(self.max_std / self.min_std)
        std = self.min_std * torch.exp(span * rng.uniform(batch, 1, 1))
        draws = std * rng.normal(batch, 1 + self.num, size)
        return positive + draws[:, :1] + draws[:, 1:]
