"""Negatives that persist: chains go on, step after step of training, from where they were left."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ibc.energies import EnergyFn
from ibc.losses.negatives import Negatives
from ibc.nn import ActionBounds
from ibc.random import RandomSource
from ibc.samplers import Sampler, uniform_proposal

#: Odd numbers whose products with the bits of an action scatter it over the table (multiplicative hashing, Knuth 6.4).
SCATTER = 0x9E3779B1


class ReplayedNegatives(Negatives):
    """Each example's chains continue when it comes round again (Tieleman 2008; Du and Mordatch 2019, section 3).

    Short chains from an even spread never get far in many dimensions; continued, they do, at the price of being
    somewhat out of date. A few are begun anew each time. Chains are kept in a table by their demonstrated action; two
    examples that share a place merely continue each other's.

    Args:
        num: negatives, and chains of an example.
        sampler: takes the chains a little further.
        restart: the part of the chains that begin anew, each time.
        table_size: places of the table.
    """

    def __init__(
        self, num: int, sampler: Sampler, restart: float = 0.05, table_size: int = 16384
    ) -> None:
        if not 0 <= restart <= 1:
            raise ValueError(f"restart must be in [0, 1], got {restart}")
        self.num = num
        self.sampler = sampler
        self.restart = restart
        self.table_size = table_size
        self.chains: Tensor | None = None

    def __call__(
        self,
        energy: EnergyFn,
        positive: Float[Tensor, "B 1 A"],
        bounds: ActionBounds,
        rng: RandomSource,
    ) -> Float[Tensor, "B N A"]:
        """See :class:`Negatives`."""
        fresh = uniform_proposal(len(positive), self.num, bounds, rng)
        if self.chains is None:  # NaN: nobody has been here
            self.chains = fresh.new_full((self.table_size, *fresh.shape[1:]), torch.nan)
        place = self.place_of(positive[:, 0])
        old = bounds.from_unit(self.chains[place])
        anew = rng.uniform(len(positive), self.num) < self.restart
        init = torch.where(anew.unsqueeze(-1) | torch.isnan(old), fresh, old)
        found = self.sampler(energy, init, bounds, rng).action[:, : self.num]
        self.chains[place] = bounds.to_unit(found)
        return found

    def place_of(self, action: Float[Tensor, "B A"]) -> Int[Tensor, " B"]:
        """Where the chains of these demonstrated actions are kept."""
        bits = action.float().contiguous().view(torch.int32).long() & 0xFFFFFFFF
        place = torch.zeros_like(bits[:, 0])
        for column in bits.unbind(1):
            place = ((place ^ column) * SCATTER) & 0xFFFFFFFF
        return (place >> 8) % self.table_size

    def state_dict(self) -> dict[str, Tensor]:
        """The chains, so that an interrupted run goes on exactly."""
        return {} if self.chains is None else {"chains": self.chains}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """The inverse of :meth:`state_dict`."""
        self.chains = state.get("chains")
