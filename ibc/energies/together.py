"""Constraints that look at the same points: these are computed once, and so is the way back to actions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ibc.energies.constraint import TINY, Ball, BoundConstraint


@dataclass(frozen=True)
class _Balls:
    """J constraints of the form of :class:`Ball` as one, their weights and strengths in the way back to actions."""

    matrix: Float[Tensor, "A JDK"]
    offset: Float[Tensor, "_ 1 J D K"]
    radius: Float[Tensor, "J 1 1"]
    low: Float[Tensor, "J 1 1"]
    high: Float[Tensor, "J 1 1"]
    back: Float[Tensor, "JDK A"]

    @classmethod
    def of(cls, balls: Sequence[tuple[Ball, float]], like: Tensor) -> _Balls:
        """From each with twice its weighted strength."""
        batch = max(len(ball.offset) for ball, _ in balls)
        inside = like.new_tensor([float(ball.inside) for ball, _ in balls]).view(-1, 1, 1)
        return cls(
            matrix=torch.cat([ball.matrix for ball, _ in balls], 1).to(like),
            offset=torch.stack([ball.offset.expand(batch, -1, -1) for ball, _ in balls], 1)
            .unsqueeze(1)
            .to(like),
            radius=like.new_tensor([ball.radius for ball, _ in balls]).view(-1, 1, 1),
            low=torch.where(inside > 0, 0.0, -torch.inf).to(like),
            high=torch.where(inside > 0, torch.inf, 0.0).to(like),
            back=torch.cat([scale * ball.matrix for ball, scale in balls], 1).T.to(like),
        )

    def action_gradient(self, action: Float[Tensor, "B N A"]) -> Float[Tensor, "B N A"]:
        """``2 strength (1 - radius / |v|) v`` of each vector that is too long or too short, back to actions."""
        vector = torch.matmul(action, self.matrix)
        vector = vector.view(*action.shape[:2], *self.offset.shape[2:]) + self.offset
        length = vector.square().sum(-2, keepdim=True).clamp(min=TINY).sqrt()
        beyond = (1 - self.radius / length).clamp(self.low, self.high)
        return torch.matmul((vector * beyond).flatten(2), self.back)


class Together:
    """The weighted sum of constraints about the same points, bound to the same observation.

    Args:
        constraints: each with its weight.
    """

    def __init__(self, constraints: Sequence[tuple[BoundConstraint, float]]) -> None:
        self.constraints = list(constraints)
        self._made: tuple[int, _Balls | None, list[tuple[BoundConstraint, float]]] | None = None

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
        if self._made is None or self._made[0] != action.shape[-1]:
            self._made = action.shape[-1], *self._parted(action)
        _, balls, others = self._made
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

    def _parted(self, action: Tensor) -> tuple[_Balls | None, list[tuple[BoundConstraint, float]]]:
        """Those of the form of a ball as one, and what is left."""
        reach, _ = self.constraints[0][0].located(action)
        balls, others = [], []
        for bound, weight in self.constraints:
            ball = bound.constraint.ball(reach, bound.located(action, reach)[1])
            if ball is None:
                others.append((bound, weight))
            else:
                balls.append((ball, 2 * weight * bound.constraint.strength))
        return _Balls.of(balls, action) if balls else None, others

    def excesses(self, action: Float[Tensor, "B N A"]) -> list[Float[Tensor, "B N J"]]:
        """By how much each constraint is broken."""
        reach, _ = self.constraints[0][0].located(action)
        points = reach.points(action)
        return [
            bound.constraint.excess(points, bound.located(action, reach)[1])
            for bound, _ in self.constraints
        ]

    def energy(self, action: Float[Tensor, "B N A"]) -> Float[Tensor, "B N"]:
        """The weighted sum of the energies."""
        total = action.new_zeros(action.shape[:2])
        for (bound, weight), excess in zip(self.constraints, self.excesses(action), strict=True):
            scale = weight * bound.constraint.strength
            total = torch.add(total, excess.clamp(min=0).square().sum(-1), alpha=scale)
        return total
