"""Forward models that are linear in the action, for constraints on the body and not only on the command."""

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
class Prediction:
    """Points (B, N, K, D) as a linear function of actions: ``offset + action @ matrix``.

    Attributes:
        offset: (B, K, D), or (1, 1, D or 1) for the same at all points; environment units.
        matrix: (A, D * K), dimensions outermost: one dense product is many times as fast as K small ones, and so are
            sums over a few dimensions that are far apart in memory.
        size: D.
    """

    offset: Float[Tensor, "_ _ _"]
    matrix: Float[Tensor, "A DK"]
    size: int

    @classmethod
    def from_gain(cls, offset: Tensor, gain: Float[Tensor, "K Ta"], size: int) -> Prediction:
        """Make a prediction from the gain of each action of a chunk on each point, equal for all dimensions."""
        matrix = gain.T[:, None, None, :] * torch.eye(size).to(gain)[None, :, :, None]
        return cls(offset, matrix.reshape(gain.shape[1] * size, size * len(gain)), size)

    def to(self, like: Tensor) -> Prediction:
        """Convert to the type and device of ``like``."""
        offset = self.offset.to(like).transpose(1, 2).contiguous().transpose(1, 2)
        return Prediction(offset, self.matrix.to(like), self.size)

    def points(self, action: Float[Tensor, "B N A"]) -> Float[Tensor, "B N K D"]:
        """Predict the points."""
        flat = torch.matmul(action, self.matrix).view(*action.shape[:2], self.size, -1)
        return flat.transpose(2, 3) + self.offset.unsqueeze(1)

    def vjp(self, cotangent: Float[Tensor, "B N K D"]) -> Float[Tensor, "B N A"]:
        """Map a gradient with respect to points to the gradient with respect to actions."""
        return torch.matmul(cotangent.transpose(2, 3).flatten(2), self.matrix.T)


class ForwardModel(ABC):
    """Predicts points from observation and action.

    Attributes:
        position: the observation that holds the current position, or None.
        dt: seconds from one action to the next.
    """

    position: str | None
    dt: float

    def is_same(self, other: ForwardModel) -> bool:
        """Test whether both predict the same points."""
        return type(self) is type(other) and vars(self) == vars(other)

    def size(self, obs: Obs) -> int | None:
        """Return D, the dimensions of a point; None where the action decides."""
        return None if self.position is None else latest(obs, self.position).shape[-1]

    @abstractmethod
    def predict(self, obs: Obs, chunk: int, size: int) -> Prediction:
        """Predict the points for chunks of ``chunk`` actions of ``size`` dimensions.

        Point k, counted from one, is reached after ``k * dt`` seconds.
        """


class PositionControl(ForwardModel):
    """The action is the point: an absolute position that is reached at once, or the command itself.

    Args:
        position: the observation that holds the current position; needed by limits of speed and acceleration only.
        dt: seconds from one action to the next.
    """

    def __init__(self, position: str | None = None, *, dt: float = 1.0) -> None:
        self.position = position
        self.dt = _above_zero("PositionControl", "dt", dt)

    def predict(self, obs: Obs, chunk: int, size: int) -> Prediction:
        """Return the actions themselves."""
        device = next(iter(obs.values())).device
        gain = torch.eye(chunk, device=device)
        return Prediction.from_gain(torch.zeros(1, 1, 1, device=device), gain, size)


class DeltaPositionControl(ForwardModel):
    """The action is added to the position: ``p <- p + scale * a``, once for every action of a chunk.

    Args:
        position: the observation that holds the position now.
        scale: units of the position a unit of the action.
        dt: seconds from one action to the next.
    """

    position: str

    def __init__(self, position: str, *, scale: float = 1.0, dt: float = 1.0) -> None:
        self.position = position
        self.scale = _above_zero("DeltaPositionControl", "scale", scale)
        self.dt = _above_zero("DeltaPositionControl", "dt", dt)

    def predict(self, obs: Obs, chunk: int, size: int) -> Prediction:
        """Sum the actions."""
        start = latest(obs, self.position)
        gain = self.scale * torch.ones(chunk, chunk, device=start.device).tril()
        return Prediction.from_gain(start.unsqueeze(1), gain, size)


class PDController(ForwardModel):
    """The action is a set-point that a unit mass follows under PD control, integrated by explicit Euler.

    In each substep the position moves by the old velocity. The last set-point of a chunk is held to the end of
    ``lookahead``: a moving body cannot be stopped within one step, so an action is evaluated over the time that
    stopping takes.

    Args:
        position, velocity: observations, in units and units/s.
        stiffness: 1/s^2.
        damping: 1/s.
        substep: seconds of one integration step.
        substeps: integration steps of one action.
        lookahead: periods of one action, at least 1, that are predicted from the last action of the chunk on.
    """

    position: str

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
                f"PDController: lookahead={lookahead}, substeps={substeps}; both must be at least 1"
            )
        self.position = position
        self.velocity = velocity
        self.stiffness = stiffness
        self.damping = damping
        self.substep = _above_zero("PDController", "substep", substep)
        self.substeps = substeps
        self.lookahead = lookahead
        self.dt = substep * substeps

    def predict(self, obs: Obs, chunk: int, size: int) -> Prediction:
        """Predict the position after every action by powers of the transition matrix."""
        position, velocity = latest(obs, self.position), latest(obs, self.velocity)
        spring = self.stiffness, self.damping, self.substep, self.substeps, self.lookahead
        by_start, matrix = (x.to(position) for x in _spring_responses(*spring, chunk, size))
        offset = by_start[:, :1] * position.unsqueeze(1) + by_start[:, 1:] * velocity.unsqueeze(1)
        return Prediction(offset, matrix, size)


@cache
def _spring_responses(  # the same for every observation
    stiffness: float,
    damping: float,
    substep: float,
    substeps: int,
    lookahead: int,
    chunk: int,
    size: int,
) -> tuple[Float[Tensor, "K 2"], Float[Tensor, "A DK"]]:
    """Compute the gains of the current (position, velocity), and of each action, on the position after k actions."""
    one = torch.tensor(
        [[1.0, substep], [-substep * stiffness, 1.0 - substep * damping]], dtype=torch.float64
    )
    force = torch.tensor([0.0, substep * stiffness], dtype=torch.float64)
    step = torch.zeros(2, dtype=torch.float64)
    for _ in range(substeps):
        step = one @ step + force
    free = torch.linalg.matrix_power(one, substeps)
    state, effect = torch.eye(2, dtype=torch.float64), torch.zeros(2, chunk).double()
    offsets, gains = [], []
    for k in range(chunk - 1 + lookahead):
        state, effect = free @ state, free @ effect
        effect[:, min(k, chunk - 1)] += step
        offsets.append(state[0])
        gains.append(effect[0].clone())
    prediction = Prediction.from_gain(torch.zeros(1, 1, 1), torch.stack(gains), size)
    return torch.stack(offsets), prediction.matrix


def latest(obs: Obs, name: str) -> Float[Tensor, "B D"]:
    """Return the last entry of a window of vectors.

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
