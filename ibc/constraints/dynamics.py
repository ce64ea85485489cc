"""Where actions lead: small forward models that are exact, and linear in the action.

A constraint on the body, and not only on the command, looks at the points that one of these predicts.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor

from ibc.errors import UserError
from ibc.spec import Obs


@dataclass(frozen=True)
class Reach:
    """Points (B, N, K, D) as a function of actions: ``offset + action @ matrix``.

    Attributes:
        offset: (B, K, D), or (1, 1, 1) for zero; environment units.
        matrix: (A, D * K), dimensions outermost: one dense product is many times quicker than K small ones, and sums
            over a few dimensions are quick where these are far apart in memory.
        times: (K,), seconds from now.
        start: (B, D), where the body is now; None if the model does not know.
    """

    offset: Float[Tensor, "_ _ _"]
    matrix: Float[Tensor, "A DK"]
    times: Float[Tensor, " K"]
    start: Float[Tensor, "B D"] | None

    @classmethod
    def of(
        cls, offset: Tensor, gain: Float[Tensor, "K Ta"], size: int, dt: float, start: Tensor | None
    ) -> Reach:
        """From the ``gain`` of each action of a chunk on each point, the same for all ``size`` dimensions."""
        matrix = gain.T[:, None, None, :] * torch.eye(size).to(gain)[None, :, :, None]
        matrix = matrix.reshape(gain.shape[1] * size, size * len(gain))
        times = dt * torch.arange(1, len(gain) + 1).to(gain)
        return cls(offset, matrix, times, start)

    def to(self, like: Tensor) -> Reach:
        """The same in another type and on another device."""
        start = None if self.start is None else self.start.to(like)
        offset = self.offset.to(like).transpose(1, 2).contiguous().transpose(1, 2)
        return Reach(offset, self.matrix.to(like), self.times.to(like), start)

    def points(self, action: Float[Tensor, "B N A"]) -> Float[Tensor, "B N K D"]:
        """Where the actions lead."""
        flat = torch.matmul(action, self.matrix.to(action))
        points = flat.view(*action.shape[:2], -1, len(self.times)).transpose(2, 3)
        return points + self.offset.unsqueeze(1).to(action)

    def pull(self, force: Float[Tensor, "B N K D"]) -> Float[Tensor, "B N A"]:
        """The gradient with respect to actions of something whose gradient with respect to points is ``force``."""
        return torch.matmul(force.transpose(2, 3).flatten(2), self.matrix.to(force).T)


class ForwardModel(ABC):
    """Predicts points from observation and action; ``dt`` seconds pass from one action to the next."""

    dt: float

    def is_same(self, other: ForwardModel) -> bool:
        """Whether both predict the same points."""
        return type(self) is type(other) and vars(self) == vars(other)

    @abstractmethod
    def size(self, obs: Obs) -> int | None:
        """D, the dimensions of a point; None where the action decides."""

    @abstractmethod
    def reach(self, obs: Obs, chunk: int, size: int) -> Reach:
        """The model for chunks of so many actions of so many dimensions."""


class PositionControl(ForwardModel):
    """The action is the point: an absolute position that is reached at once, or the command itself.

    Args:
        position: the observation that holds the position now; only limits of speed and acceleration ask for it.
        dt: seconds from one action to the next.
    """

    def __init__(self, position: str | None = None, *, dt: float = 1.0) -> None:
        self.position = position
        self.dt = _above_zero("SetPoint", "dt", dt)

    def size(self, obs: Obs) -> int | None:
        """See :class:`ForwardModel`."""
        return None if self.position is None else latest(obs, self.position).shape[-1]

    def reach(self, obs: Obs, chunk: int, size: int) -> Reach:
        """The identity."""
        start = None if self.position is None else latest(obs, self.position)
        device = next(iter(obs.values())).device
        gain = torch.eye(chunk, device=device)
        return Reach.of(torch.zeros(1, 1, 1, device=device), gain, size, self.dt, start)


class DeltaPositionControl(ForwardModel):
    """The action is added to the position: ``p <- p + scale * a``, once for every action of a chunk.

    Args:
        position: the observation that holds the position now.
        scale: units of the position a unit of the action.
        dt: seconds from one action to the next.
    """

    def __init__(self, position: str, *, scale: float = 1.0, dt: float = 1.0) -> None:
        self.position = position
        self.scale = _above_zero("Delta", "scale", scale)
        self.dt = _above_zero("Delta", "dt", dt)

    def size(self, obs: Obs) -> int | None:
        """See :class:`ForwardModel`."""
        return latest(obs, self.position).shape[-1]

    def reach(self, obs: Obs, chunk: int, size: int) -> Reach:
        """A running sum."""
        start = latest(obs, self.position)
        gain = self.scale * torch.ones(chunk, chunk, device=start.device).tril()
        return Reach.of(start.unsqueeze(1), gain, size, self.dt, start)


class PDController(ForwardModel):
    """The action is a set-point that a unit mass follows on a spring with a damper, integrated by explicit Euler.

    In each substep the position moves by the old velocity. The last set-point of a chunk is held to the end of
    ``lookahead``: a body that is already moving cannot be stopped within one step, so an action is to be judged by
    where it leads in the time that stopping takes.

    Args:
        position, velocity: observations, in units and units/s.
        stiffness: 1/s^2.
        damping: 1/s.
        substep: seconds of one integration step.
        substeps: integration steps of one action.
        lookahead: actions' time, at least 1, that is looked at from the last action of the chunk on.
    """

    def __init__(
        self,
        position: str,
        velocity: str,
        *,
        stiffness: float,
        damping: float,
        substep: float,
        substeps: int,
        lookahead: int,
    ) -> None:
        if lookahead < 1 or substeps < 1:
            raise UserError(
                f"SpringDamper: lookahead={lookahead}, substeps={substeps}; both must be at least 1"
            )
        self.position = position
        self.velocity = velocity
        self.stiffness = stiffness
        self.damping = damping
        self.substep = _above_zero("SpringDamper", "substep", substep)
        self.substeps = substeps
        self.lookahead = lookahead
        self.dt = substep * substeps

    def size(self, obs: Obs) -> int | None:
        """See :class:`ForwardModel`."""
        return latest(obs, self.position).shape[-1]

    def reach(self, obs: Obs, chunk: int, size: int) -> Reach:
        """The position after every action; the product of one matrix with itself, over and over."""
        position, velocity = latest(obs, self.position), latest(obs, self.velocity)
        spring = self.stiffness, self.damping, self.substep, self.substeps, self.lookahead
        by_start, matrix, times = (
            response.to(position) for response in _spring_responses(*spring, chunk, size)
        )
        offset = by_start[:, :1] * position.unsqueeze(1) + by_start[:, 1:] * velocity.unsqueeze(1)
        return Reach(offset, matrix, times, position)


@cache
def _spring_responses(  # the same for every observation
    stiffness: float,
    damping: float,
    substep: float,
    substeps: int,
    lookahead: int,
    chunk: int,
    size: int,
) -> tuple[Float[Tensor, "K 2"], Float[Tensor, "A DK"], Float[Tensor, " K"]]:
    """What (position, velocity) now, and each action, do to the position after k actions, and when that is."""
    one = torch.tensor(
        [[1.0, substep], [-substep * stiffness, 1.0 - substep * damping]], dtype=torch.float64
    )
    push = torch.tensor([0.0, substep * stiffness], dtype=torch.float64)
    step = torch.zeros(2, dtype=torch.float64)
    for _ in range(substeps):
        step = one @ step + push
    free = torch.linalg.matrix_power(one, substeps)
    state, effect = torch.eye(2, dtype=torch.float64), torch.zeros(2, chunk).double()
    offsets, gains = [], []
    for k in range(chunk - 1 + lookahead):
        state, effect = free @ state, free @ effect
        effect[:, min(k, chunk - 1)] += step
        offsets.append(state[0])
        gains.append(effect[0].clone())
    reach = Reach.of(torch.zeros(1, 1, 1), torch.stack(gains), size, substep * substeps, None)
    return torch.stack(offsets), reach.matrix, reach.times


def latest(obs: Obs, name: str) -> Float[Tensor, "B D"]:
    """The last entry of a window of vectors.

    Raises:
        UserError: there is no such observation.
    """
    if name not in obs:
        raise UserError(f"there is no observation '{name}'; there are {', '.join(sorted(obs))}")
    return obs[name][:, -1].flatten(1)


def _above_zero(what: str, key: str, number: float) -> float:
    if not 0 < number < float("inf"):
        raise UserError(f"{what}: {key}={number}; it must be positive")
    return number
