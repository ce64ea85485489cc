"""Limits on rates of change, in environment units."""

from __future__ import annotations

from abc import abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor

from ibc.constraints.base import STRENGTH, Constraint, norm
from ibc.constraints.dynamics import ForwardModel, PositionControl, latest
from ibc.errors import UserError
from ibc.spec import Obs


class _DifferenceLimit(Constraint):
    """``|d| - limit`` of the finite differences ``d`` of successive points; of the order of the history."""

    def __init__(self, limit: float, *, model: ForwardModel, strength: float = STRENGTH) -> None:
        super().__init__(model, strength)
        self.limit = self.number("limit", limit)

    @abstractmethod
    def history(self, points: Float[Tensor, "B N K D"], obs: Obs) -> Float[Tensor, "B N H D"]:
        """Return the points before the first predicted one, oldest first."""

    def excess(self, points: Float[Tensor, "B N K D"], obs: Obs) -> Float[Tensor, "B N K"]:
        return norm(self._difference(points, obs)[0]) - self.limit

    def point_gradient(self, points: Tensor, obs: Obs) -> Tensor:
        """Compute ``2 strength (1 - limit / |d|) d`` above the limit, times the transpose of the difference."""
        difference, order = self._difference(points, obs)
        factor = 2 * self.strength / self.model.dt**order
        gradient = difference * (factor - factor * self.limit / norm(difference)).clamp(
            min=0
        ).unsqueeze(-1)
        for _ in range(order):
            gradient = torch.cat([-gradient.diff(dim=-2), gradient[..., -1:, :]], -2)
        return gradient

    def _difference(self, points: Tensor, obs: Obs) -> tuple[Float[Tensor, "B N K D"], int]:
        history = self.history(points, obs)
        order = history.shape[-2]
        return torch.cat([history, points], -2).diff(order, dim=-2) / self.model.dt**order, order

    def _position(self, points: Tensor, obs: Obs) -> Float[Tensor, "B N 1 D"]:
        if self.model.position is None:
            raise UserError("its model needs the name of the observation that holds the position")
        return _expanded(latest(obs, self.model.position), points)


class SpeedLimit(_DifferenceLimit):
    """No faster than ``limit`` units/s from one point to the next, the first from the current position."""

    def history(self, points: Tensor, obs: Obs) -> Float[Tensor, "B N 1 D"]:
        """Return the current position."""
        return self._position(points, obs)


class AccelerationLimit(_DifferenceLimit):
    """No change of velocity above ``limit`` units/s^2; ``velocity`` names the observation of it, in units/s."""

    def __init__(
        self, limit: float, velocity: str, *, model: ForwardModel, strength: float = STRENGTH
    ) -> None:
        super().__init__(limit, model=model, strength=strength)
        self.velocity = velocity

    def history(self, points: Tensor, obs: Obs) -> Float[Tensor, "B N 2 D"]:
        """Return the position one step ago, extrapolated from the velocity, and the current one."""
        now = self._position(points, obs)
        before = now - self.model.dt * _expanded(latest(obs, self.velocity), points)
        return torch.cat([before, now], -2)


class ActionRateLimit(_DifferenceLimit):
    """No action further than ``limit`` (action units) from the one before; the first, from the previous decision's.

    The previous action is read from the observation ``previous``, which the controller adds. Where it is NaN, at the
    first decision of an episode, the first action is free.
    """

    def __init__(
        self, limit: float = 0.0, *, previous: str = "previous_action", strength: float = STRENGTH
    ) -> None:
        super().__init__(limit, model=PositionControl(previous), strength=strength)
        self.previous = previous

    def history(self, points: Tensor, obs: Obs) -> Float[Tensor, "B N 1 D"]:
        """Return the previous action, or the first one where there is none."""
        previous = self._position(points, obs)
        return torch.where(previous.isnan(), points[..., :1, :], previous)


def _expanded(vector: Float[Tensor, "B D"], points: Tensor) -> Float[Tensor, "B N 1 D"]:
    return vector.to(points)[:, None, None].expand(-1, points.shape[1], -1, -1)
