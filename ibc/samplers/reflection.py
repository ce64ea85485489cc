"""The walls of the search box, seen by a chain that must not lose or heap up probability at them."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ibc.nn.action_bounds import ActionBounds


def reflect(
    unit: Float[Tensor, "B N A"], bounds: ActionBounds
) -> tuple[Float[Tensor, "B N A"], Bool[Tensor, "B N A"]]:
    """Where a straight path to ``unit`` ends if the walls reflect it, and which directions are then reversed.

    The map keeps volume and can be run backwards, which clipping cannot: a clipped chain heaps probability on the
    walls. A dimension of no width stays at its one value.
    """
    low, width = bounds.unit_low, bounds.unit_high - bounds.unit_low
    free = width > 0
    period = torch.where(free, 2 * width, torch.ones_like(width))
    phase = torch.remainder(unit - low, period)
    turned = (phase > width) & free
    inside = low + torch.where(turned, period - phase, phase) * free
    return bounds.clamp_unit(inside), turned
