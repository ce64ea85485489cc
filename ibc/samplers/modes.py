"""Modes: distinct actions of low energy."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ibc.samplers.base import Candidates


@dataclass(frozen=True)
class Modes:
    """Distinct actions of low energy, best first; where there are fewer than K, the best is repeated.

    Attributes:
        action: in the space of the candidates.
        energy: of each.
        found: which of them are modes; the first always is.
    """

    action: Float[Tensor, "B K A"]
    energy: Float[Tensor, "B K"]
    found: Bool[Tensor, "B K"]

    @property
    def candidates(self) -> Candidates:
        """The modes as candidates."""
        return Candidates(self.action, self.energy)


def find_modes(
    candidates: Candidates,
    scale: Float[Tensor, " A"],
    *,
    count: int,
    radius: float,
    max_gap: float = float("inf"),
) -> Modes:
    """Select the best candidate, then the best that is not near it, and so on: greedy non-maximum suppression.

    Candidates should have converged (a sampler that ends in gradient steps), or every slope is full of modes.

    Args:
        candidates: of a search.
        scale: unit of distance in each dimension; half the range of the search box as a rule.
        count: K, the largest number of modes.
        radius: candidates nearer than this to a better one, in the largest dimension, belong to its mode.
        max_gap: candidates whose energy exceeds the best by more are no modes.

    Raises:
        ValueError: a count or radius that is not positive.
    """
    if count < 1 or radius <= 0:
        raise ValueError(f"needs count >= 1 and radius > 0, got {count} and {radius}")
    scaled = candidates.action / scale
    best = candidates.lowest(1)
    free = candidates.energy <= best.energy + max_gap
    chosen, found = [], []
    first = candidates.energy.argmin(1, keepdim=True)
    for _ in range(count):
        open_energy = candidates.energy.masked_fill(~free, torch.inf)
        some = free.any(1, keepdim=True)
        index = torch.where(some, open_energy.argmin(1, keepdim=True), first)
        chosen.append(index)
        found.append(some)
        center = scaled.gather(1, index.unsqueeze(-1).expand(-1, -1, scaled.shape[-1]))
        free = free & ((scaled - center).abs().amax(-1) > radius)
    modes = candidates.take(torch.cat(chosen, 1))
    return Modes(modes.action, modes.energy, torch.cat(found, 1))
