"""Constraints on how fast something changes, in environment units."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ibc.constraints.base import (
    STRENGTH,
    TINY,
    Ball,
    Constraint,
    direction,
    length,
    of_observation,
)
from ibc.constraints.dynamics import ForwardModel, PositionControl, Reach, latest
from ibc.errors import UserError
from ibc.spec import Obs


class _Differences(Constraint):
    """What limits of change share: ``|d| - limit`` of differences between successive points.

    ``place`` holds the points before the first one, as many as the ``order`` of the difference.
    """

    order = 1

    def __init__(self, limit: float, model: ForwardModel, strength: float) -> None:
        super().__init__(model, strength)
        self.limit = self.number("limit", limit)

    def excess(self, point: Tensor, target: Tensor) -> Float[Tensor, "B N K"]:
        """See :class:`Constraint`."""
        return length(self._change(point, target)) - self.limit

    def pull(self, point: Tensor, target: Tensor, force: Tensor) -> Float[Tensor, "B N K D"]:
        """The direction of the change, by the transpose of the difference."""
        return self._transposed(force.unsqueeze(-1) * direction(self._change(point, target)))

    def push(self, point: Tensor, target: Tensor) -> Float[Tensor, "B N K D"]:
        """``2 strength (1 - limit / |d|) d`` beyond the limit, by the transpose of the difference."""
        change = self._change(point, target)
        beyond = (1 - self.limit / length(change).clamp(min=TINY)).clamp(min=0)
        return self._transposed(change * (2 * self.strength * beyond).unsqueeze(-1))

    def _transposed(self, pull: Float[Tensor, "B N K D"]) -> Float[Tensor, "B N K D"]:
        pull = pull / self._unit
        for _ in range(self.order):
            pull = torch.cat([pull[..., :-1, :] - pull[..., 1:, :], pull[..., -1:, :]], -2)
        return pull

    def balls(self, reach: Reach, target: Float[Tensor, "_ 1 _ D"]) -> list[Ball]:
        """See :class:`Constraint`: differences of what is linear are linear."""
        size, count = target.shape[-1], len(reach.times)
        effect = reach.matrix.view(1, -1, size, count).transpose(2, 3)
        matrix = self._change(effect, torch.zeros_like(target[:1])).transpose(2, 3)
        start = self._change(reach.offset.expand(-1, count, size).unsqueeze(1), target)[:, 0]
        return [Ball(matrix.flatten(2)[0], start.transpose(1, 2), self.limit, inside=True)]

    @property
    def _unit(self) -> float:
        return float(self.model.dt**self.order)

    def _change(self, point: Tensor, target: Tensor) -> Float[Tensor, "B N K D"]:
        for _ in range(self.order):
            first = point[..., :1, :] - target[..., -1:, :]
            point = torch.cat([first, point[..., 1:, :] - point[..., :-1, :]], -2)
            target = target.diff(dim=-2)
        return point / self._unit

    def _start(self, reach: Reach) -> Float[Tensor, "B 1 1 D"]:
        if reach.start is None:
            raise UserError("its model needs the name of the observation that holds the position")
        return reach.start[:, None, None]


class SpeedLimit(_Differences):
    """No faster than ``limit`` units/s from one point to the next, the first from where the body is now."""

    def __init__(self, limit: float, *, model: ForwardModel, strength: float = STRENGTH) -> None:
        super().__init__(limit, model, strength)

    def target(self, obs: Obs, reach: Reach) -> Float[Tensor, "_ 1 _ D"]:
        """Where the body is."""
        return self._start(reach)


class AccelerationLimit(_Differences):
    """No change of velocity above ``limit`` units/s^2; ``velocity`` names the observation of it, in units/s."""

    order = 2

    def __init__(
        self, limit: float, velocity: str, *, model: ForwardModel, strength: float = STRENGTH
    ) -> None:
        super().__init__(limit, model, strength)
        self.velocity = velocity

    def target(self, obs: Obs, reach: Reach) -> Float[Tensor, "_ 1 _ D"]:
        """Where the body must have been one step ago, and where it is."""
        now = self._start(reach)
        return torch.cat([now - self.model.dt * of_observation(self.velocity, obs), now], -2)


class ActionRateLimit(_Differences):
    """No action further than ``limit`` (action units) from the one before; the first, from the previous decision's.

    The previous action is read from the observation ``previous``; the actor puts it there. Where it is NaN, at the
    first decision of an episode, the first action is free.
    """

    def __init__(
        self, limit: float = 0.0, *, previous: str = "previous_action", strength: float = STRENGTH
    ) -> None:
        super().__init__(limit, PositionControl(previous), strength)
        self.previous = previous

    def target(self, obs: Obs, reach: Reach) -> Float[Tensor, "_ 1 _ D"]:
        """The previous action."""
        return latest(obs, self.previous)[:, None, None]

    def balls(self, reach: Reach, target: Float[Tensor, "_ 1 _ D"]) -> list[Ball]:
        """None: at the first decision there is no previous action."""
        return []

    def _change(self, point: Tensor, target: Tensor) -> Float[Tensor, "B N K D"]:
        before = target.expand(*point.shape[:2], -1, -1)
        return super()._change(point, torch.where(before.isnan(), point[..., :1, :], before))
