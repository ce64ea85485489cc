"""Negatives from persistent chains, which continue in each step of training."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ibc.energies import UnitSpace
from ibc.losses.negatives import Negatives
from ibc.random import RandomSource
from ibc.samplers import Sampler

#: Odd numbers whose products with the bits of an action scatter it over the table (multiplicative hashing, Knuth 6.4).
SCATTER = 0x9E3779B1


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
        self, space: UnitSpace, positive: Float[Tensor, "B 1 A"], rng: RandomSource
    ) -> Float[Tensor, "B N A"]:
        """See :class:`Negatives`."""
        fresh = space.uniform(len(positive), self.num, rng)
        if self.chains is None:  # NaN: no chain yet
            self.chains = fresh.new_full((self.table_size, *fresh.shape[1:]), torch.nan)
        place = self.place_of(positive[:, 0])
        old = self.chains[place]
        anew = rng.uniform(len(positive), self.num) < self.restart
        init = torch.where(anew.unsqueeze(-1) | torch.isnan(old), fresh, old)
        found = self.sampler(space, init, rng).action[:, : self.num]
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
        """Return the chains, so that an interrupted run continues exactly."""
        return {} if self.chains is None else {"chains": self.chains}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore what :meth:`state_dict` returned."""
        self.chains = state.get("chains")
