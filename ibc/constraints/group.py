"""Constraints that look at the same points: these are computed once, and so is the way back to actions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ibc.constraints.base import TINY, TOLERANCE, Ball, BoundConstraint


class _Balls:
    """J constraints of the form of :class:`Ball` as one.

    Args:
        balls: each with its weighted strength.
        like: actions.
    """

    def __init__(self, balls: Sequence[tuple[Ball, float]], like: Tensor) -> None:
        batch = max(len(ball.offset) for ball, _ in balls)
        offset = torch.stack([ball.offset.expand(batch, -1, -1) for ball, _ in balls], 1)
        self._shape = offset.shape[1:]
        self._offset = offset.to(like).flatten(1).unsqueeze(1)
        self._matrix = torch.cat([ball.matrix for ball, _ in balls], 1).to(like)
        # Weights and strengths are in the way back to actions.
        self._back = torch.cat([2 * scale * ball.matrix for ball, scale in balls], 1).T.to(like)
        column = like.new_tensor(
            [
                (
                    ball.radius,
                    scale,
                    0.0 if ball.inside else -math.inf,
                    1.0 if ball.inside else -1.0,
                )
                for ball, scale in balls
            ]
        )
        self._radius, self._scale, self._low, self._sign = column.T.reshape(4, -1, 1, 1)
        self._high = torch.where(self._low == 0, math.inf, 0.0).to(like)
        self._minus, self._one = -self._radius, like.new_ones(1)

    def action_gradient(self, action: Float[Tensor, "B N A"]) -> Float[Tensor, "B N A"]:
        """``2 strength (1 - radius / |v|) v`` of each vector that is too long or too short, back to actions."""
        vector = self._vectors(action)
        inverse = vector.square().sum(-2, keepdim=True).clamp(min=TINY).rsqrt()
        beyond = torch.addcmul(self._one, self._minus, inverse).clamp(self._low, self._high)
        return torch.matmul((vector * beyond).flatten(2), self._back)

    def excess(self, action: Float[Tensor, "B N A"]) -> Float[Tensor, "B N J 1 K"]:
        """By how much each vector is too long or too short."""
        long = self._vectors(action).square().sum(-2, keepdim=True).sqrt()
        excess: Tensor = (long - self._radius) * self._sign
        return excess

    def energy(self, action: Float[Tensor, "B N A"]) -> Float[Tensor, "B N"]:
        """The weighted sum of the energies."""
        energy: Tensor = (self.excess(action).clamp(min=0).square() * self._scale).sum((-3, -2, -1))
        return energy

    def _vectors(self, action: Float[Tensor, "B N A"]) -> Float[Tensor, "B N J D K"]:
        batch, count, _ = action.shape
        matrix = self._matrix.expand(batch, -1, -1)
        return torch.baddbmm(self._offset, action, matrix).view(batch, count, *self._shape)


class Together:
    """The weighted sum of constraints about the same points, bound to the same observation.

    Args:
        constraints: each with its weight.
    """

    def __init__(self, constraints: Sequence[tuple[BoundConstraint, float]]) -> None:
        self.constraints = list(constraints)
        self._made: (
            tuple[tuple[int, torch.dtype], _Balls | None, list[tuple[BoundConstraint, float]]]
            | None
        ) = None

    @classmethod
    def groups(cls, constraints: Sequence[tuple[BoundConstraint, float]]) -> list[Together]:
        """Constraints put together by their points."""
        groups: list[list[tuple[BoundConstraint, float]]] = []
        for constraint, weight in constraints:
            for group in groups:
                if group[0][0].shares_points_with(constraint):
                    group.append((constraint, weight))
                    break
            else:
                groups.append([(constraint, weight)])
        return [cls(group) for group in groups]

    @property
    def name(self) -> str:
        """For messages."""
        return ", ".join(bound.constraint.name for bound, _ in self.constraints)

    def action_gradient(self, action: Float[Tensor, "B N A"]) -> Float[Tensor, "B N A"]:
        """All that is about lengths of vectors is one; of the rest, gradients by points go back to actions as one."""
        balls, others = self._parted(action)
        if not others:
            assert balls is not None
            return balls.action_gradient(action)
        reach, _ = self.constraints[0][0].located(action)
        points = reach.points(action)
        pushes = []
        for bound, weight in others:
            push = bound.constraint.push(points, bound.located(action, reach)[1])
            pushes.append(push if weight == 1 else weight * push)
        gradient = reach.pull(sum(pushes[1:], start=pushes[0]))
        return gradient if balls is None else gradient + balls.action_gradient(action)

    def energy(self, action: Float[Tensor, "B N A"]) -> Float[Tensor, "B N"]:
        """The weighted sum of the energies."""
        balls, others = self._parted(action)
        parts = [] if balls is None else [balls.energy(action)]
        for (bound, weight), excess in zip(others, self._excesses(action, others), strict=True):
            energy = excess.clamp(min=0).square().sum(-1)
            parts.append((weight * bound.constraint.strength) * energy)
        return sum(parts[1:], start=parts[0])

    def feasible(self, action: Float[Tensor, "B N A"]) -> Bool[Tensor, "B N"]:
        """Whether all of them are kept."""
        balls, others = self._parted(action)
        most = [] if balls is None else [balls.excess(action).amax((-3, -2, -1))]
        most += [excess.amax(-1) for excess in self._excesses(action, others)]
        return torch.stack(most).amax(0) <= TOLERANCE

    def _excesses(
        self, action: Tensor, constraints: Sequence[tuple[BoundConstraint, float]]
    ) -> list[Float[Tensor, "B N J"]]:
        if not constraints:
            return []
        reach, _ = self.constraints[0][0].located(action)
        points = reach.points(action)
        return [
            bound.constraint.excess(points, bound.located(action, reach)[1])
            for bound, _ in constraints
        ]

    def _parted(self, action: Tensor) -> tuple[_Balls | None, list[tuple[BoundConstraint, float]]]:
        """Those of the form of a ball as one, and what is left; found once for actions of a length."""
        kind = action.shape[-1], action.dtype
        if self._made is not None and self._made[0] == kind:
            return self._made[1:]
        reach, _ = self.constraints[0][0].located(action)
        balls, others = [], []
        for bound, weight in self.constraints:
            own = bound.constraint.balls(reach, bound.located(action, reach)[1])
            balls += [(ball, weight * bound.constraint.strength) for ball in own]
            if not own:
                others.append((bound, weight))
        made = _Balls(balls, action) if balls else None, others
        self._made = kind, *made
        return made
