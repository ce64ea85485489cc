"""Constraints that look at the same points: these are computed once, and so is the way back to actions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ibc.energies.constraint import TINY, BoundConstraint
from ibc.energies.constraints import KeepOutDisk


@dataclass(frozen=True)
class _Disks:
    """Several disks at once: J centres, radii, and twice their weighted strengths."""

    centre: Float[Tensor, "J _ 1 _ D"]
    radius: Float[Tensor, "J 1 1 1"]
    scale: Float[Tensor, "J 1 1 1"]

    def push(self, point: Float[Tensor, "B N K D"]) -> Float[Tensor, "B N K D"]:
        """The sum of what :meth:`KeepOutDisk.push` says of each."""
        apart = point - self.centre
        near = self.radius * apart.square().sum(-1).clamp(min=TINY).rsqrt()
        factor = (1 - near).clamp(max=0) * self.scale
        return (apart * factor.unsqueeze(-1)).sum(0)


def stacked(places: Sequence[Float[Tensor, "_ 1 _ D"]]) -> Float[Tensor, "J _ 1 _ D"]:
    """Places of several constraints, of which some may be the same for all observations or all points."""
    batch = max(len(place) for place in places)
    count = max(place.shape[2] for place in places)
    whole = torch.stack([place.expand(batch, -1, count, -1) for place in places])
    return whole.transpose(-1, -2).contiguous().transpose(-1, -2)  # laid out as points are


class Together:
    """The weighted sum of constraints about the same points, bound to the same observation.

    Args:
        constraints: each with its weight.
    """

    def __init__(self, constraints: Sequence[tuple[BoundConstraint, float]]) -> None:
        self.constraints = list(constraints)
        self._disks: tuple[int, _Disks | None, list[tuple[BoundConstraint, float]]] | None = None

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
        """The gradients with respect to points are added up, and taken back to actions as one."""
        if self._disks is None or self._disks[0] != action.shape[-1]:
            self._disks = action.shape[-1], *self._stacked(action)
        _, disks, others = self._disks
        reach, _ = self.constraints[0][0].located(action)
        points = reach.points(action)
        pushes = [disks.push(points)] if disks is not None else []
        for bound, weight in others:
            push = bound.constraint.push(points, bound.located(action, reach)[1])
            pushes.append(push if weight == 1 else weight * push)
        return reach.pull(sum(pushes[1:], start=pushes[0]))

    def _stacked(self, action: Tensor) -> tuple[_Disks | None, list[tuple[BoundConstraint, float]]]:
        """Disks as one, and what is left."""
        reach, _ = self.constraints[0][0].located(action)
        disks, others, places = [], [], []
        for bound, weight in self.constraints:
            if isinstance(bound.constraint, KeepOutDisk):
                disks.append((bound.constraint, weight))
                places.append(bound.located(action, reach)[1])
            else:
                others.append((bound, weight))
        if not disks:
            return None, others
        radius = action.new_tensor([disk.radius for disk, _ in disks]).view(-1, 1, 1, 1)
        scale = action.new_tensor([2 * weight * disk.strength for disk, weight in disks])
        return _Disks(stacked(places), radius, scale.view(-1, 1, 1, 1)), others

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
