"""Planning as energy minimization: a path of states from where the body is to its goal, through what is allowed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from ibc.constraints.base import Constraint
from ibc.constraints.dynamics import latest
from ibc.energies.base import Energy, EnergyFn
from ibc.energies.box import Box
from ibc.errors import UserError
from ibc.spec import Obs

#: States between start and goal among which a path is looked for, and points of a straight piece that are judged.
NUM_STATES, NUM_POINTS = 126, 10
#: Pieces that a path has at most.
MAX_PIECES = 12


class Trajectory:
    """``E(x_0, ..., x_K) = sum_k |x_{k+1} - x_k| + sum_k (constraints along the piece)``, from ``start`` to ``goal``.

    The energy is a sum over neighbors in a chain, so over a finite set of states its minimum is found exactly, by
    min-sum messages from the goal (dynamic programming): no local minimum behind a wall. The states are start, goal and
    a Sobol sequence over the box; a piece is charged the mean energy of its points by each constraint.

    Args:
        start, goal: observations (D,) of where the body is and is to go.
        constraints: about points, whose model is the set-point itself.
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
        try:  # places that are given and not observed: what lies between states need not be looked at again
            self._inner: Tensor | None = self._pieces(self.states, self.states, {"": self.states})
        except UserError:
            self._inner = None

    @torch.no_grad()
    def path(self, obs: Obs) -> Float[Tensor, "B K D"]:
        """The best path of each observation, ``MAX_PIECES + 1`` states; one of fewer pieces first stays where it is."""
        start, goal = latest(obs, self.start), latest(obs, self.goal)
        batch = len(start)
        between = self.states.to(start).expand(batch, -1, -1)
        states = torch.cat([start.unsqueeze(1), goal.unsqueeze(1), between], 1)
        cost = self._between_all(states, obs)
        to_go = torch.full(states.shape[:2], torch.inf).to(start)
        to_go[:, 1] = 0.0
        choices = []
        for _ in range(MAX_PIECES):
            to_go, choice = (cost + to_go.unsqueeze(1)).min(2)
            choices.append(choice)
        now = torch.zeros(batch, 1, dtype=torch.long, device=start.device)
        path = [start]
        for choice in reversed(choices):
            now = choice.gather(1, now)
            path.append(states.gather(1, now.unsqueeze(-1).expand(-1, -1, start.shape[-1]))[:, 0])
        return torch.stack(path, 1)

    def way_point(self, obs: Obs, ahead: float) -> Float[Tensor, "B D"]:
        """The first state of the best path that is ``ahead`` or farther from the start, or the goal."""
        path = self.path(obs)
        far = (path - path[:, :1]).norm(dim=-1) >= ahead
        far[:, -1] = True
        first = far.long().argmax(1).view(-1, 1, 1).expand(-1, 1, path.shape[-1])
        return path.gather(1, first)[:, 0]

    def _between_all(self, states: Float[Tensor, "B S D"], obs: Obs) -> Float[Tensor, "B S S"]:
        """The energy of the straight piece between any two of start, goal and the other states."""
        count = states.shape[1]
        ends = self._pieces(states[:, :2], states, obs)
        cost = states.new_empty(len(states), count, count)
        cost[:, :2] = ends
        cost[:, :, :2] = ends.transpose(1, 2)
        inner = self._inner
        if inner is None:
            inner = self._pieces(states[:, 2:], states[:, 2:], obs)
        cost[:, 2:, 2:] = inner.to(states)
        return cost

    def _pieces(
        self, start: Float[Tensor, "B S D"], end: Float[Tensor, "B T D"], obs: Obs
    ) -> Float[Tensor, "B S T"]:
        """The energy of the straight piece from any state to any other."""
        part = torch.linspace(0, 1, NUM_POINTS).to(start).view(-1, 1)
        cost = torch.cdist(start, end)
        bound = [constraint.bind(obs) for constraint in self.constraints]
        for i in range(
            start.shape[1]
        ):  # a row at a time: all points at once would not fit the cache
            ends = end[:, :, None]
            points = ends + part * (start[:, i, None, None] - ends)
            flat = points.flatten(1, 2)
            total = torch.stack([one(flat) for one in bound]).sum(0)
            cost[:, i] += total.view(len(start), -1, NUM_POINTS).mean(-1)
        return cost


class WaypointGuided(Energy):
    """An energy that is told another goal: the next way point of the best trajectory, planned anew at each decision.

    Args:
        energy: of a policy that heads for a goal it observes.
        trajectory: where to go through.
        ahead: way points are at least this far away (environment units); nearer ones are passed by.
        tell: the observation with the way point (B, D) in the place of the goal.
    """

    def __init__(
        self,
        energy: Energy,
        trajectory: Trajectory,
        *,
        ahead: float,
        tell: Callable[[Obs, Tensor], Obs],
    ) -> None:
        super().__init__()
        self.energy = energy
        self.trajectory = trajectory
        self.ahead = ahead
        self.tell = tell

    def limits(self) -> Box | None:
        """Those of the energy."""
        return self.energy.limits()

    def bind(self, obs: Obs) -> EnergyFn:
        """See :class:`Energy`; the trajectory is planned here."""
        return self.energy.bind(self.tell(obs, self.trajectory.way_point(obs, self.ahead)))
