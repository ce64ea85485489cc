"""Boxes of actions in environment units, on which energies are valid and searched."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ibc.nn.action_bounds import ActionBounds


@dataclass(frozen=True)
class Box:
    """The actions between ``low`` and ``high``, of shape (A,), in environment units."""

    low: Float[Tensor, " A"]
    high: Float[Tensor, " A"]

    @classmethod
    def of(cls, bounds: ActionBounds) -> Box:
        """Return the search box of a learned energy."""
        return cls(bounds.from_unit(bounds.unit_low), bounds.from_unit(bounds.unit_high))

    def intersection(self, other: Box) -> Box:
        """Return the intersection; empty where ``low > high``."""
        return Box(torch.maximum(self.low, other.low), torch.minimum(self.high, other.high))

    def hull(self, other: Box) -> Box:
        """Return the smallest box around both."""
        return Box(torch.minimum(self.low, other.low), torch.maximum(self.high, other.high))

    @property
    def is_empty(self) -> bool:
        """Whether no action lies in it."""
        return bool((self.low > self.high).any())

    @property
    def half_range(self) -> Float[Tensor, " A"]:
        """Half its sides; 1 where it is a single point."""
        half = (self.high - self.low) / 2
        return torch.where(half > 0, half, torch.ones_like(half))

    def clamp(self, action: Float[Tensor, "B N A"]) -> Float[Tensor, "B N A"]:
        """Return the nearest action of the box."""
        return torch.clamp(action, self.low.to(action), self.high.to(action))

    def spread(self, count: int) -> Float[Tensor, "1 N A"]:
        """Return ``count`` fixed actions spread evenly over the box (a scrambled Sobol sequence, Owen 1998)."""
        engine = torch.quasirandom.SobolEngine(len(self.low), scramble=True, seed=0)  # type: ignore[no-untyped-call]
        unit = engine.draw(count).to(self.low)
        return (self.low + (self.high - self.low) * unit).unsqueeze(0)
