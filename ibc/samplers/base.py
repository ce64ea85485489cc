"""What a sampler is: a procedure that moves candidate actions towards low energy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ibc.component import Component
from ibc.energies.base import EnergyFn
from ibc.nn.action_bounds import ActionBounds
from ibc.random import RandomSource


@dataclass(frozen=True)
class Candidates:
    """Actions that travel together with their own energies: ``energy[b, n]`` is that of ``action[b, n]``."""

    action: Float[Tensor, "B N A"]
    energy: Float[Tensor, "B N"]

    def take(self, index: Int[Tensor, "B K"]) -> Candidates:
        """The candidates at ``index``, of each batch item."""
        expanded = index.unsqueeze(-1).expand(-1, -1, self.action.shape[-1])
        return Candidates(self.action.gather(1, expanded), self.energy.gather(1, index))

    def lowest(self, count: int) -> Candidates:
        """The ``count`` candidates of lowest energy, best first."""
        count = min(count, self.energy.shape[1])
        return self.take(self.energy.topk(count, dim=1, largest=False).indices)

    def best(self) -> Float[Tensor, "B A"]:
        """The action of lowest energy of each batch item."""
        return self.lowest(1).action[:, 0]


class Sampler(Component, ABC):
    """Moves candidates towards low energy.

    A sampler holds no network, no observation and no dimension: the same object proposes negatives in training and
    finds actions at test time, and can be exchanged on a trained policy. Steps and noise are in the unit cube of
    ``bounds``, so they mean the same on every task; energies and actions are in environment units.
    """

    #: How many candidates the search starts from.
    num_candidates: int

    @abstractmethod
    def __call__(
        self,
        energy: EnergyFn,
        init: Float[Tensor, "B N A"],
        bounds: ActionBounds,
        rng: RandomSource,
    ) -> Candidates:
        """Search from ``init``; every action returned lies in the bounds, detached, with its own energy."""


def uniform_proposal(
    batch: int, count: int, bounds: ActionBounds, rng: RandomSource
) -> Float[Tensor, "B N A"]:
    """Candidates spread evenly over the search box, in environment units."""
    low, high = bounds.unit_low, bounds.unit_high
    unit = low + (high - low) * rng.uniform(batch, count, low.shape[0])
    return bounds.from_unit(unit)


def score(energy: EnergyFn, action: Float[Tensor, "B N A"]) -> Candidates:
    """The actions with their energies, without a graph."""
    with torch.no_grad():
        return Candidates(action, energy(action))
