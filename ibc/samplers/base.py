"""Define a sampler: a procedure that moves candidate actions towards low energy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ibc.component import Component
from ibc.energies import UnitSpace
from ibc.random import RandomSource


@dataclass(frozen=True)
class Candidates:
    """Actions with their energies: ``energy[b, n]`` is the energy of ``action[b, n]``.

    Samplers return actions in the unit cube, policies in environment units.
    """

    action: Float[Tensor, "B N A"]
    energy: Float[Tensor, "B N"]

    def take(self, index: Int[Tensor, "B K"]) -> Candidates:
        """Select the candidates at ``index`` of each batch item."""
        expanded = index.unsqueeze(-1).expand(-1, -1, self.action.shape[-1])
        return Candidates(self.action.gather(1, expanded), self.energy.gather(1, index))

    def lowest(self, count: int) -> Candidates:
        """Select the ``count`` candidates of lowest energy, best first."""
        count = min(count, self.energy.shape[1])
        return self.take(self.energy.topk(count, dim=1, largest=False).indices)

    def best(self) -> Float[Tensor, "B A"]:
        """Return the action of lowest energy of each batch item."""
        return self.lowest(1).action[:, 0]


class Sampler(Component, ABC):
    """Moves candidates towards low energy.

    A sampler holds no network, observation or dimension: the same object draws negatives in training and finds actions
    at test time, and can be exchanged on a trained policy. All it sees is in the unit cube, so that step sizes and
    noise have the same meaning on every task.

    Attributes:
        num_candidates: candidates that a search starts from.
    """

    num_candidates: int

    @abstractmethod
    def __call__(
        self, space: UnitSpace, init: Float[Tensor, "B N A"], rng: RandomSource
    ) -> Candidates:
        """Search from ``init``, in the unit cube.

        Returns:
            Candidates in the search box of the unit cube, detached, with their energies.
        """


def score(space: UnitSpace, unit: Float[Tensor, "B N A"]) -> Candidates:
    """Return the candidates with their energies, without a graph."""
    with torch.no_grad():
        return Candidates(unit, space.energy(unit))
