"""Constraints on where points are, in environment units; each states its excess and the gradient of it."""

from __future__ import annotations

from collections.abc import Sequence

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

#: A box of more dimensions than this is quicker to evaluate as a box than as so many balls.
MAX_BALLS = 4


class _Ball(Constraint):
    """What disks and goals share: a center, given or observed, that may move at a constant velocity."""

    center: Tensor
    inside: bool

    def __init__(
        self,
        center: Sequence[float] | str,
        radius: float,
        velocity: str | None,
        model: ForwardModel | None,
        strength: float,
    ) -> None:
        super().__init__(PositionControl() if model is None else model, strength)
        self.observed = center if isinstance(center, str) else None
        fixed = [0.0] if isinstance(center, str) else center
        self.register_buffer("center", self.numbers("center", fixed))
        if velocity is not None and self.observed is None:
            raise UserError(
                f"{self.name}: with velocity, center must be the name of an observation"
            )
        self.velocity = velocity
        self.radius = self.number("radius", radius)

    def size(self, obs: Obs) -> int | None:
        """See :class:`Constraint`."""
        return len(self.center) if self.observed is None else latest(obs, self.observed).shape[-1]

    def target(self, obs: Obs, reach: Reach) -> Float[Tensor, "_ 1 _ D"]:
        """The center at the time of each point."""
        if self.observed is None:
            return self.center.view(1, 1, 1, -1)
        center = of_observation(self.observed, obs)
        if self.velocity is None:
            return center
        return center + of_observation(self.velocity, obs) * reach.times.view(-1, 1)

    def balls(self, reach: Reach, target: Float[Tensor, "_ 1 _ D"]) -> list[Ball]:
        """See :class:`Constraint`: from the center to the points."""
        offset = (reach.offset - target[:, 0]).transpose(1, 2)
        size, count = target.shape[-1], len(reach.times)
        offset = offset.expand(-1, size, count)
        return [Ball(reach.matrix, offset, self.radius, self.inside)]


class KeepOutDisk(_Ball):
    """Stay out of a disk or ball: the excess is ``radius - |p - center|``.

    Args:
        center: (D,) in environment units, or the observation that holds it.
        radius: environment units.
        velocity: the observation that holds the velocity of an observed center, in units/s; it is extrapolated.
        model: where actions lead; the action itself if None.
        strength: energy of one squared unit of excess.
    """

    inside = False

    def __init__(
        self,
        center: Sequence[float] | str,
        radius: float,
        *,
        velocity: str | None = None,
        model: ForwardModel | None = None,
        strength: float = STRENGTH,
    ) -> None:
        super().__init__(center, radius, velocity, model, strength)

    def excess(self, point: Tensor, target: Tensor) -> Float[Tensor, "B N K"]:
        """See :class:`Constraint`."""
        return self.radius - length(point - target)

    def pull(self, point: Tensor, target: Tensor, force: Tensor) -> Float[Tensor, "B N K D"]:
        """``-(p - center) / |p - center|``; zero at the center itself."""
        return -force.unsqueeze(-1) * direction(point - target)

    def push(self, point: Tensor, target: Tensor) -> Float[Tensor, "B N K D"]:
        """``2 strength (1 - radius / |p - center|) (p - center)`` inside, where the factor is negative."""
        apart = point - target
        near = self.radius / length(apart).clamp_(min=TINY)
        return apart * (2 * self.strength * (1 - near).clamp_(max=0)).unsqueeze(-1)


class NearGoal(_Ball):
    """Stay within ``radius`` of a goal: the excess is ``|p - goal| - radius``. With radius 0, a quadratic bowl.

    Args:
        goal: (D,) in environment units, or the observation that holds it.
        radius, velocity, model, strength: as in :class:`KeepOutDisk`.
    """

    inside = True

    def __init__(
        self,
        goal: Sequence[float] | str,
        radius: float = 0.0,
        *,
        velocity: str | None = None,
        model: ForwardModel | None = None,
        strength: float = STRENGTH,
    ) -> None:
        super().__init__(goal, radius, velocity, model, strength)

    def excess(self, point: Tensor, target: Tensor) -> Float[Tensor, "B N K"]:
        """See :class:`Constraint`."""
        return length(point - target) - self.radius

    def pull(self, point: Tensor, target: Tensor, force: Tensor) -> Float[Tensor, "B N K D"]:
        """``(p - goal) / |p - goal|``."""
        return force.unsqueeze(-1) * direction(point - target)


class _Faces(Constraint):
    """What boxes share."""

    low: Tensor
    high: Tensor

    def __init__(
        self,
        low: Sequence[float],
        high: Sequence[float],
        *,
        model: ForwardModel | None = None,
        strength: float = STRENGTH,
    ) -> None:
        super().__init__(PositionControl() if model is None else model, strength)
        self.register_buffer("low", self.numbers("low", low))
        self.register_buffer("high", self.numbers("high", high))
        if self.low.shape != self.high.shape or (self.low > self.high).any():
            raise UserError(
                f"{self.name}: low={self.low.tolist()}, high={self.high.tolist()}; low must not exceed high"
            )

    def size(self, obs: Obs) -> int | None:
        """See :class:`Constraint`."""
        return len(self.low)

    def target(self, obs: Obs, reach: Reach) -> Float[Tensor, "_ 1 _ D"]:
        """The middle of the box."""
        return ((self.low + self.high) / 2).view(1, 1, 1, -1)

    def beyond(self, point: Tensor) -> Float[Tensor, "B N K F"]:
        """How far each point is beyond each of the ``F = 2 D`` faces; negative inside."""
        low, high = self.low.to(point), self.high.to(point)
        return torch.cat([low - point, point - high], -1)


class StayWithin(_Faces):
    """Stay in the box from ``low`` to ``high`` (D,): an excess for each face, ``low - p`` and ``p - high``."""

    def excess(self, point: Tensor, target: Tensor) -> Float[Tensor, "B N J"]:
        """See :class:`Constraint`."""
        return self.beyond(point).flatten(-2)

    def balls(self, reach: Reach, target: Float[Tensor, "_ 1 _ D"]) -> list[Ball]:
        """See :class:`Constraint`: the way from the middle of the box, one ball a dimension."""
        size, count = target.shape[-1], len(reach.times)
        if size > MAX_BALLS:
            return []
        low, high = self.low.double(), self.high.double()
        middle, half = ((low + high) / 2).to(target), ((high - low) / 2).tolist()
        offset = (reach.offset - middle).transpose(1, 2).expand(-1, size, count)
        matrix = reach.matrix.view(-1, size, count)
        only = torch.eye(size).to(matrix).unsqueeze(-1)
        return [
            Ball((matrix * only[d]).flatten(1), offset * only[d], half[d], inside=True)
            for d in range(size)
        ]

    def pull(self, point: Tensor, target: Tensor, force: Tensor) -> Float[Tensor, "B N K D"]:
        """-1 for low faces, 1 for high ones."""
        low, high = force.view(*point.shape[:-1], 2 * point.shape[-1]).chunk(2, -1)
        return high - low

    def push(self, point: Tensor, target: Tensor) -> Float[Tensor, "B N K D"]:
        """``2 strength`` times the way back to the nearest point of the box, backwards."""
        inside = torch.clamp(point, self.low.to(point), self.high.to(point))
        return (point - inside) * (2 * self.strength)


class JointLimits(StayWithin):
    """Keep joints ``margin`` inside their limits, all in rad (or m for sliding joints)."""

    def __init__(
        self,
        low: Sequence[float],
        high: Sequence[float],
        *,
        margin: float = 0.0,
        model: ForwardModel | None = None,
        strength: float = STRENGTH,
    ) -> None:
        margin = self.number("margin", margin)
        super().__init__(
            [x + margin for x in low], [x - margin for x in high], model=model, strength=strength
        )


class KeepOutBox(_Faces):
    """Stay out of the box from ``low`` to ``high`` (D,): the excess is the way to the nearest face."""

    def excess(self, point: Tensor, target: Tensor) -> Float[Tensor, "B N K"]:
        """See :class:`Constraint`."""
        return -self.beyond(point).amax(-1)

    def pull(self, point: Tensor, target: Tensor, force: Tensor) -> Float[Tensor, "B N K D"]:
        """Along the axis of the nearest face, away from it."""
        beyond = self.beyond(point)
        nearest = torch.zeros_like(beyond).scatter_(-1, beyond.argmax(-1, keepdim=True), 1.0)
        low, high = nearest.chunk(2, -1)
        return force.unsqueeze(-1) * (low - high)


class HalfPlane(Constraint):
    """Stay on one side: ``normal . p <= offset``. The normal (D,) is scaled to length one, with the offset."""

    normal: Tensor

    def __init__(
        self,
        normal: Sequence[float],
        offset: float,
        *,
        model: ForwardModel | None = None,
        strength: float = STRENGTH,
    ) -> None:
        super().__init__(PositionControl() if model is None else model, strength)
        vector = self.numbers("normal", normal)
        if vector.norm() < TINY:
            raise UserError(f"{self.name}: the normal has no direction")
        self.register_buffer("normal", direction(vector))
        self.offset = self.number("offset", offset, least=-1e30) / float(length(vector))

    def size(self, obs: Obs) -> int | None:
        """See :class:`Constraint`."""
        return len(self.normal)

    def target(self, obs: Obs, reach: Reach) -> Float[Tensor, "_ 1 _ D"]:
        """The normal."""
        return self.normal.view(1, 1, 1, -1)

    def excess(self, point: Tensor, target: Tensor) -> Float[Tensor, "B N K"]:
        """See :class:`Constraint`."""
        return (point * target).sum(-1) - self.offset

    def pull(self, point: Tensor, target: Tensor, force: Tensor) -> Float[Tensor, "B N K D"]:
        """The normal."""
        return force.unsqueeze(-1) * target
