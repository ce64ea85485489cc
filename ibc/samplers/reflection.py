"""Reflection at the bounds of the search box, which keeps the density of a chain."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ibc.energies import UnitSpace


def reflect(
    unit: Float[Tensor, "B N A"], space: UnitSpace
) -> tuple[Float[Tensor, "B N A"], Bool[Tensor, "B N A"]]:
    """Reflect a straight path to ``unit`` at the bounds; return its end and which directions are reversed.

    The map preserves volume and is reversible. Clipping is not: a clipped chain accumulates probability at the bounds.
    A dimension of no width stays at its one value.
    """
    low, width = space.low, space.high - space.low
    free = width > 0
    period = torch.where(free, 2 * width, torch.ones_like(width))
    phase = torch.remainder(unit - low, period)
    turned = (phase > width) & free
    inside = low + torch.where(turned, period - phase, phase) * free
    return space.clamp(inside), turned
