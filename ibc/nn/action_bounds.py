"""The one map between actions in environment units and the unit cube in which samplers search."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ibc.errors import UserError

#: The box searched for actions exceeds the range of the data by this part of it on either side, so that an optimum on
#: the edge of the data has higher energy on both its sides (IBC paper, appendix B.2).
MARGIN = 0.05


class ActionBounds(nn.Module):
    """An affine map that takes the data's range to [-1, 1], and the box in which actions are searched.

    Attributes (all of shape (A,)):
        center, half_range: the map, in environment units; a constant dimension keeps half_range 1.
        unit_low, unit_high: the search box in the unit cube: +-(1 + 2 * MARGIN), less where the environment's own
            limits are tighter, and a single point where the data is constant.
    """

    center: Tensor
    half_range: Tensor
    unit_low: Tensor
    unit_high: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("center", torch.zeros(size))
        self.register_buffer("half_range", torch.ones(size))
        self.register_buffer("unit_low", -torch.ones(size))
        self.register_buffer("unit_high", torch.ones(size))

    @torch.no_grad()
    def fit(
        self,
        action: Float[Tensor, "M A"],
        env_low: Float[Tensor, " A"],
        env_high: Float[Tensor, " A"],
    ) -> None:
        """Set the map from demonstrated actions and the environment's limits, all in environment units."""
        low, high = action.amin(0), action.amax(0)
        constant = high <= low
        self.center.copy_((low + high) / 2)
        self.half_range.copy_(torch.where(constant, torch.ones_like(low), (high - low) / 2))
        buffer = MARGIN * (high - low)
        self.unit_low.copy_(self.to_unit(torch.maximum(low - buffer, env_low)))
        self.unit_high.copy_(self.to_unit(torch.minimum(high + buffer, env_high)))

    @torch.no_grad()
    def limit(self, low: Float[Tensor, " A"], high: Float[Tensor, " A"]) -> None:
        """Leave nothing outside of limits, in environment units, in the search box.

        Raises:
            UserError: all of the box is outside.
        """
        self.unit_low.copy_(torch.maximum(self.unit_low, self.to_unit(low)))
        self.unit_high.copy_(torch.minimum(self.unit_high, self.to_unit(high)))
        if (self.unit_low > self.unit_high).any():
            raise UserError("the policy's actions are all outside of the limits of this task")

    def to_unit(self, action: Tensor) -> Tensor:
        """Environment units (..., A) to the unit cube (..., A)."""
        return (action - self.center) / self.half_range

    def from_unit(self, unit_action: Tensor) -> Tensor:
        """The unit cube (..., A) to environment units (..., A)."""
        return unit_action * self.half_range + self.center

    def clamp_unit(self, unit_action: Tensor) -> Tensor:
        """The nearest point of the search box, in the unit cube."""
        return torch.clamp(unit_action, self.unit_low, self.unit_high)
