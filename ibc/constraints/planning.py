"""Planning as energy minimization: a feasible path of states from the current position to the goal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ibc.constraints.base import Constraint
from ibc.constraints.dynamics import latest
from ibc.energies.base import Energy, EnergyFn
from ibc.energies.box import Box
from ibc.errors import UserError
from ibc.spec import Obs

#: States between start and goal, and points of a segment at which constraints are evaluated.
NUM_STATES, NUM_POINTS = 126, 10
#: The most segments of a path.
MAX_SEGMENTS = 12


class Trajectory:
    """``E(x_0, ..., x_K) = sum_k |x_{k+1} - x_k| + sum_k (constraints along segment k)``, from ``start`` to ``goal``.

    The energy is a sum over neighbors in a chain, so dynamic programming from the goal finds its exact minimum over a
    finite set of states, without local minima. The states are start, goal and a Sobol sequence over the box; the cost
    of a segment is the mean energy of its points by each constraint.

    Args:
        start, goal: observations (D,) of the current position and the goal.
        constraints: on states; their model is :class:`PositionControl`.
        low, high: of the box of states, environment units.

    Raises:
        UserError: the box is empty, or there are no constraints.
    """

    def __init__(
        self,
        start: str,
        goal: str,
        constraints: Sequence[Constraint],
        *,
        low: Sequence[float],
        high: Sequence[float],
    ) -> None:
        if not constraints:
            raise UserError("Trajectory has no constraints; without any, a straight line is best")
        box = Box(torch.tensor(low), torch.tensor(high))
        if len(low) != len(high) or box.is_empty:
            raise UserError(f"Trajectory: low={list(low)}, high={list(high)}; the box is empty")
        self.start = start
        self.goal = goal
        self.constraints = list(constraints)
        self.states = box.spread(NUM_STATES)
        try:  # if no constraint depends on the observation, the cost between states never changes
            self._inner: Tensor | None = self._segments(self.states, self.states, {"": self.states})
        except UserError:
            self._inner = None

    @torch.no_grad()
    def path(self, obs: Obs) -> Float[Tensor, "B K D"]:
        """Find the best path of each observation, ``MAX_SEGMENTS + 1`` states; a shorter one first stays put."""
        start, goal = latest(obs, self.start), latest(obs, self.goal)
        batch = len(start)
        between = self.states.to(start).expand(batch, -1, -1)
        states = torch.cat([start.unsqueeze(1), goal.unsqueeze(1), between], 1)
        cost = self._between_all(states, obs)
        to_go = torch.full(states.shape[:2], torch.inf).to(start)
        to_go[:, 1] = 0.0
        choices = []
        for _ in range(MAX_SEGMENTS):
            to_go, choice = (cost + to_go.unsqueeze(1)).min(2)
            choices.append(choice)
        now = torch.zeros(batch, 1, dtype=torch.long, device=start.device)
        path = [start]
        for choice in reversed(choices):
            now = choice.gather(1, now)
            path.append(states.gather(1, now.unsqueeze(-1).expand(-1, -1, start.shape[-1]))[:, 0])
        return torch.stack(path, 1)

    def waypoint(self, obs: Obs, ahead: float) -> Float[Tensor, "B D"]:
        """Return the first state of the best path at a distance of ``ahead`` or more from the start, or the goal."""
        path = self.path(obs)
        far = (path - path[:, :1]).norm(dim=-1) >= ahead
        far[:, -1] = True
        first = far.long().argmax(1).view(-1, 1, 1).expand(-1, 1, path.shape[-1])
        return path.gather(1, first)[:, 0]

    def _between_all(self, states: Float[Tensor, "B S D"], obs: Obs) -> Float[Tensor, "B S S"]:
        """Compute the cost of the segment between any two of start, goal and the other states."""
        count = states.shape[1]
        ends = self._segments(states[:, :2], states, obs)
        cost = states.new_empty(len(states), count, count)
        cost[:, :2] = ends
        cost[:, :, :2] = ends.transpose(1, 2)
        inner = self._inner
        if inner is None:
            inner = self._segments(states[:, 2:], states[:, 2:], obs)
        cost[:, 2:, 2:] = inner.to(states)
        return cost

    def _segments(
        self, start: Float[Tensor, "B S D"], end: Float[Tensor, "B T D"], obs: Obs
    ) -> Float[Tensor, "B S T"]:
        """Compute the cost of the segment from any state to any other."""
        part = torch.linspace(0, 1, NUM_POINTS).to(start).view(-1, 1)
        # Not by products, which lose the digits of short ways far from the origin.
        cost = torch.cdist(start, end, compute_mode="donot_use_mm_for_euclid_dist")
        bound = [constraint.bind(obs) for constraint in self.constraints]
        for i in range(start.shape[1]):  # all points at once would not fit the cache
            ends = end[:, :, None]
            points = ends + part * (start[:, i, None, None] - ends)
            flat = points.flatten(1, 2)
            total = torch.stack([constraint(flat) for constraint in bound]).sum(0)
            cost[:, i] += total.view(len(start), -1, NUM_POINTS).mean(-1)
        return cost


@dataclass(eq=False, repr=False)
class WaypointGuided(Energy):
    """An energy whose goal is replaced by the next waypoint of the best trajectory, planned anew at each decision.

    Args:
        energy: of a policy that goes to a goal it observes.
        trajectory: gives the waypoints.
        ahead: least distance of a waypoint (environment units); nearer ones are skipped.
        replace_goal: returns the observation with the waypoint (B, D) in place of the goal.
    """

    energy: Energy
    trajectory: Trajectory
    _: KW_ONLY
    ahead: float
    replace_goal: Callable[[Obs, Tensor], Obs]

    def limits(self) -> Box | None:
        """Return the box of the energy."""
        return self.energy.limits()

    def bind(self, obs: Obs) -> EnergyFn:
        """See :class:`Energy`; the trajectory is planned here."""
        return self.energy.bind(self.replace_goal(obs, self.trajectory.waypoint(obs, self.ahead)))
