"""Limits on positions, in environment units."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import torch
from jaxtyping import Float
from torch import Tensor

from ibc.constraints.base import STRENGTH, TINY, Constraint, norm
from ibc.constraints.dynamics import ForwardModel, latest
from ibc.constraints.motion import Segments
from ibc.errors import UserError
from ibc.spec import Obs


class _Distance(Constraint):
    """A limit on the distance from a center, given or observed, that may move at a constant velocity."""

    lipschitz = 1.0
    center: Tensor
    #: 1 if points must be near the center, -1 if they must be far from it.
    sign: float

    def __init__(
        self,
        center: Sequence[float] | str,
        radius: float,
        *,
        velocity: str | None = None,
        model: ForwardModel | None = None,
        strength: float = STRENGTH,
    ) -> None:
        super().__init__(model, strength)
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
        return len(self.center) if self.observed is None else latest(obs, self.observed).shape[-1]

    def excess(self, points: Float[Tensor, "B N K D"], obs: Obs) -> Float[Tensor, "B N K"]:
        return self.sign * (norm(self._offset(points, obs)) - self.radius)

    def point_gradient(self, points: Tensor, obs: Obs) -> Tensor:
        """Compute ``2 strength (1 - radius / |p - center|) (p - center)`` where the constraint is violated."""
        offset = self._offset(points, obs)
        factor = 2 * self.strength * (1 - self.radius / norm(offset))
        factor = factor.clamp(min=0) if self.sign > 0 else factor.clamp(max=0)
        return offset * factor.unsqueeze(-1)

    def segment_excess(self, segments: Segments, obs: Obs) -> Float[Tensor, "B N S"]:
        """Compute the excess where the segment is farthest from the center, or nearest to it.

        A center that moves is followed: seen from it, the segment is straight as well.
        """
        start = segments.start - self._center(segments.start, obs, segments.times[:-1])
        end = segments.end - self._center(segments.end, obs, segments.times[1:])
        if self.sign > 0:
            return torch.maximum(norm(start), norm(end)) - self.radius
        way = end - start
        length = way.square().sum(-1).clamp(min=TINY**2)
        part = (-(start * way).sum(-1) / length).clamp(0, 1)
        return self.radius - norm(start + part.unsqueeze(-1) * way)

    def _offset(self, points: Tensor, obs: Obs) -> Float[Tensor, "B N K D"]:
        times = self.model.dt * torch.arange(1, 1 + points.shape[2]).to(points)
        return points - self._center(points, obs, times)

    def _center(self, like: Tensor, obs: Obs, times: Float[Tensor, " K"]) -> Tensor:
        """Return the center at times from now (s), to be subtracted from points (B, N, K, D)."""
        if self.observed is None:
            return self.center.to(like)
        center = latest(obs, self.observed).to(like)[:, None, None]
        if self.velocity is None:
            return center
        velocity = latest(obs, self.velocity).to(like)[:, None, None]
        return center + velocity * times.to(like).unsqueeze(-1)


class KeepOutDisk(_Distance):
    """Stay out of a disk or ball: the excess is ``radius - |p - center|``.

    Args:
        center: (D,) in environment units, or the observation that holds it.
        radius: environment units.
        velocity: the observation that holds the velocity of an observed center, in units/s; it is extrapolated.
        model: predicts the points; the actions themselves if None.
        strength: energy of one squared unit of excess.
    """

    sign = -1.0


class NearGoal(_Distance):
    """Stay within ``radius`` of a goal: the excess is ``|p - goal| - radius``. With radius 0, a quadratic bowl.

    Args:
        goal: (D,) in environment units, or the observation that holds it.
        radius, velocity, model, strength: as in :class:`KeepOutDisk`.
    """

    sign = 1.0

    def __init__(
        self,
        goal: Sequence[float] | str,
        radius: float = 0.0,
        *,
        velocity: str | None = None,
        model: ForwardModel | None = None,
        strength: float = STRENGTH,
    ) -> None:
        super().__init__(goal, radius, velocity=velocity, model=model, strength=strength)


class _BoxConstraint(Constraint):
    """A constraint that refers to the box from ``low`` to ``high`` (D,), ``margin`` inside or outside of it."""

    lipschitz = 1.0
    low: Tensor
    high: Tensor
    #: 1 if points must be in the box, -1 if they must be out of it.
    sign: float

    def __init__(
        self,
        low: Sequence[float],
        high: Sequence[float],
        *,
        margin: float = 0.0,
        model: ForwardModel | None = None,
        strength: float = STRENGTH,
    ) -> None:
        super().__init__(model, strength)
        self.margin = self.number("margin", margin)
        self.register_buffer("low", self.numbers("low", low))
        self.register_buffer("high", self.numbers("high", high))
        shift = self.sign * self.margin
        if self.low.shape != self.high.shape or (self.low + shift > self.high - shift).any():
            raise UserError(
                f"{self.name}: low={self.low.tolist()}, high={self.high.tolist()}, margin={margin}; "
                "low must not exceed high"
            )

    def size(self, obs: Obs) -> int | None:
        return len(self.low)

    def corners(self, like: Tensor) -> tuple[Float[Tensor, " D"], Float[Tensor, " D"]]:
        """Return low and high with the margin."""
        shift = self.sign * self.margin
        return self.low.to(like) + shift, self.high.to(like) - shift

    def beyond(self, points: Float[Tensor, "B N K D"]) -> Float[Tensor, "B N K F"]:
        """Compute how far each point is beyond each of the ``F = 2 D`` faces; negative inside."""
        low, high = self.corners(points)
        return torch.cat([low - points, points - high], -1)


class StayWithin(_BoxConstraint):
    """Stay in the box from ``low`` to ``high`` (D,): an excess for each face, ``low - p`` and ``p - high``."""

    sign = 1.0

    def excess(self, points: Float[Tensor, "B N K D"], obs: Obs) -> Float[Tensor, "B N J"]:
        return self.beyond(points).flatten(-2)

    def segment_excess(self, segments: Segments, obs: Obs) -> Float[Tensor, "B N S"]:
        """Compute the larger excess of both ends: the box is convex."""
        ends = self.beyond(segments.start).amax(-1), self.beyond(segments.end).amax(-1)
        return torch.maximum(*ends)

    def point_gradient(self, points: Tensor, obs: Obs) -> Tensor:
        """Compute ``2 strength`` times the vector from the nearest point of the box."""
        return (points - torch.clamp(points, *self.corners(points))) * (2 * self.strength)


class JointLimits(StayWithin):
    """Keep joints ``margin`` inside their limits, all in rad (or m for sliding joints)."""


class KeepOutBox(_BoxConstraint):
    """Stay out of the box from ``low`` to ``high`` (D,): the excess is the distance to the nearest face."""

    sign = -1.0

    def excess(self, points: Float[Tensor, "B N K D"], obs: Obs) -> Float[Tensor, "B N K"]:
        return -self.beyond(points).amax(-1)

    def segment_excess(self, segments: Segments, obs: Obs) -> Float[Tensor, "B N S"]:
        """Compute the excess where the segment is deepest in the box, or nearest to it.

        Along a segment the distance to each face is linear, and the least of them largest at an end or where two are
        equal.
        """
        start, end = -self.beyond(segments.start), -self.beyond(segments.end)
        way = end - start
        largest = torch.maximum(start.amin(-1), end.amin(-1))
        for one, other in combinations(range(start.shape[-1]), 2):
            part = (start[..., one] - start[..., other]) / (way[..., other] - way[..., one])
            part = part.nan_to_num(0.0).clamp(0, 1).unsqueeze(-1)
            largest = torch.maximum(largest, (start + part * way).amin(-1))
        return largest


class HalfPlane(Constraint):
    """Stay on one side: ``normal . p <= offset``. The normal (D,) is scaled to length one, with the offset."""

    lipschitz = 1.0
    normal: Tensor

    def __init__(
        self,
        normal: Sequence[float],
        offset: float,
        *,
        model: ForwardModel | None = None,
        strength: float = STRENGTH,
    ) -> None:
        super().__init__(model, strength)
        vector = self.numbers("normal", normal)
        length = float(vector.norm())
        if length < TINY:
            raise UserError(f"{self.name}: the normal has no direction")
        self.register_buffer("normal", vector / length)
        self.offset = self.number("offset", offset, least=-1e30) / length

    def size(self, obs: Obs) -> int | None:
        return len(self.normal)

    def excess(self, points: Float[Tensor, "B N K D"], obs: Obs) -> Float[Tensor, "B N K"]:
        return (points * self.normal.to(points)).sum(-1) - self.offset

    def segment_excess(self, segments: Segments, obs: Obs) -> Float[Tensor, "B N S"]:
        """Compute the larger excess of both ends."""
        return torch.maximum(self.excess(segments.start, obs), self.excess(segments.end, obs))
