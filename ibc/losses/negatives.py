"""Negatives: actions that are compared with the demonstrated one."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ibc.component import check_positive
from ibc.energies import UnitSpace
from ibc.errors import UserError
from ibc.losses.base import Loss, Stateful, bind, check_stds
from ibc.random import RandomSource
from ibc.samplers import Sampler
from ibc.spec import Batch

#: Odd numbers whose products with the bits of an action scatter it over the table (multiplicative hashing, Knuth 6.4).
SCATTER = 0x9E3779B1


class Negatives(Stateful, ABC):
    """Draws actions that are compared with the demonstrated one."""

    @abstractmethod
    def __call__(
        self, space: UnitSpace, positive: Float[Tensor, "B 1 A"], rng: RandomSource
    ) -> Float[Tensor, "B N A"]:
        """Draw detached actions, in the unit cube, given the demonstrated one there."""


@dataclass(eq=False)
class UniformNegatives(Negatives):
    """Uniform over the search box: unbiased, and of little use in many dimensions."""

    num: int

    def __post_init__(self) -> None:
        check_positive(self, "num")

    def __call__(self, space: UnitSpace, positive: Tensor, rng: RandomSource) -> Tensor:
        return space.uniform(len(positive), self.num, rng)


@dataclass(eq=False)
class SampledNegatives(Negatives):
    """What a sampler finds from uniform candidates: wrong actions of low energy (IBC paper, B.3).

    These are distributed by the energy itself, for which InfoNCE makes no correction (Singh et al. 2023, section 3).
    Of the sampler's candidates, ``num`` serve as negatives.
    """

    num: int
    sampler: Sampler

    def __post_init__(self) -> None:
        check_positive(self, "num")
        if self.num > self.sampler.num_candidates:
            raise ValueError(
                f"num={self.num} exceeds the sampler's {self.sampler.num_candidates} candidates"
            )

    def __call__(self, space: UnitSpace, positive: Tensor, rng: RandomSource) -> Tensor:
        init = space.uniform(len(positive), self.sampler.num_candidates, rng)
        return enough(self.sampler(space, init, rng).action, self.num)


def enough(found: Float[Tensor, "B M A"], num: int) -> Float[Tensor, "B N A"]:
    """Take the first ``num`` candidates of a search.

    Raises:
        UserError: there are fewer.
    """
    if found.shape[1] < num:
        raise UserError(
            f"{num} negatives are wanted of a sampler that ends with {found.shape[1]} candidates"
        )
    return found[:, :num]


@dataclass(eq=False)
class NeighborNegatives(Negatives):
    """Neighbors of the demonstrated action, at every scale from the whole box to the precision wanted.

    A scale sigma is drawn log-uniformly for each example, then a center ``z = a + sigma * xi``, and the negatives as
    ``z + sigma * xi_i``. Given z and sigma, the demonstrated action and its negatives are distributed alike up to the
    density of the data, by the symmetry of the Gaussian; so InfoNCE over such a set has its optimum at ``E = -log p +
    c(o)`` *without* a correction for the proposal. (Negatives around ``a`` itself would bias it: a set is then
    asymmetric, and its middle identifies the positive. This is the ranking form of conditional noise-contrastive
    estimation, Ceylan and Gutmann 2018.) No chain is run, which makes a step as cheap as one with uniform negatives,
    and the finest scale sets the precision of the minimum.

    Args:
        num: negatives.
        min_std, max_std: the scales, in the unit cube.
    """

    num: int
    min_std: float
    max_std: float

    def __post_init__(self) -> None:
        check_positive(self, "num")
        check_stds(self.min_std, self.max_std)

    def __call__(self, space: UnitSpace, positive: Tensor, rng: RandomSource) -> Tensor:
        batch, _, size = positive.shape
        span = math.log(self.max_std / self.min_std)
        std = self.min_std * torch.exp(span * rng.uniform(batch, 1, 1))
        draws = std * rng.normal(batch, 1 + self.num, size)
        return positive + draws[:, :1] + draws[:, 1:]


@dataclass(eq=False)
class ReplayedNegatives(Negatives):
    """Each example's chains continue whenever it is drawn again (Tieleman 2008; Du and Mordatch 2019, section 3).

    Short chains from uniform candidates do not converge in many dimensions; persistent ones do, with the energy of
    earlier steps. Some are restarted each time. Chains are stored in a hash table by their demonstrated action; two
    examples in one place continue each other's chains.

    Args:
        num: negatives, and chains of an example.
        sampler: continues the chains.
        restart: the part of the chains that are restarted each time.
        table_size: places of the table.
    """

    num: int
    sampler: Sampler
    restart: float = 0.05
    table_size: int = 16384
    chains: Tensor | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        check_positive(self, "num", "table_size")
        if not 0 <= self.restart <= 1:
            raise ValueError(f"restart must be in [0, 1], got {self.restart}")

    def __call__(self, space: UnitSpace, positive: Tensor, rng: RandomSource) -> Tensor:
        fresh = space.uniform(len(positive), self.num, rng)
        if self.chains is None:  # NaN: no chain yet
            self.chains = fresh.new_full((self.table_size, *fresh.shape[1:]), torch.nan)
        if self.chains.device != fresh.device:  # of a file that was read into the host's memory
            self.chains = self.chains.to(fresh.device)
        place = self.place_of(positive[:, 0])
        old = self.chains[place]
        anew = rng.uniform(len(positive), self.num) < self.restart
        init = torch.where(anew.unsqueeze(-1) | torch.isnan(old), fresh, old)
        found = enough(self.sampler(space, init, rng).action, self.num)
        self.chains[place] = found
        return found

    def place_of(self, action: Float[Tensor, "B A"]) -> Int[Tensor, " B"]:
        """Compute the places of the chains of these demonstrated actions (unit cube)."""
        bits = action.float().contiguous().view(torch.int32).long() & 0xFFFFFFFF
        place = torch.zeros_like(bits[:, 0])
        for column in bits.unbind(1):
            place = ((place ^ column) * SCATTER) & 0xFFFFFFFF
        return (place >> 8) % self.table_size

    def state_dict(self) -> dict[str, Tensor]:
        """Return a copy of the chains, so that an interrupted run continues exactly."""
        return {} if self.chains is None else {"chains": self.chains.clone()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore what :meth:`state_dict` returned; in the memory of the present chains, which a recording may use."""
        chains = state.get("chains")
        if chains is None or self.chains is None or self.chains.shape != chains.shape:
            self.chains = None if chains is None else chains.clone()
        else:
            self.chains.copy_(chains)


@dataclass(eq=False, kw_only=True)
class NegativesLoss(Loss):
    """A loss that compares the demonstrated action with negatives of one or more kinds.

    Args:
        negatives: at least one kind; each has a term of its own, and the terms are averaged.
    """

    negatives: Sequence[Negatives]

    def __post_init__(self) -> None:
        if not self.negatives:
            raise ValueError(f"{type(self).__name__} needs at least one kind of negatives")

    def parts(self) -> Sequence[Negatives]:
        return self.negatives

    def draw(
        self, policy: Any, batch: Batch, rng: RandomSource
    ) -> tuple[UnitSpace, Float[Tensor, "B 1 A"], list[Float[Tensor, "B N A"]]]:
        """Return the bound energy, the demonstrated action and each kind of negatives, in the unit cube."""
        space, positive = bind(self, policy, batch)
        return space, positive, [draw(space, positive, rng) for draw in self.negatives]
