"""Forward models that are linear in the action, for constraints on the body and not only on the command."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import cache

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ibc.component import Component
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


class ForwardModel(Component, ABC):
    """Predicts points from observation and action; models that are equal predict the same points.

    Attributes:
        position: the observation that holds the current position, or None.
        dt: seconds from one action to the next.
    """

    position: str | None
    dt: float

    def size(self, obs: Obs) -> int | None:
        """Return D, the dimensions of a point; None where the action decides."""
        return None if self.position is None else latest(obs, self.position).shape[-1]

    @abstractmethod
    def predict(self, obs: Obs, chunk: int, size: int) -> Prediction:
        """Predict the points for chunks of ``chunk`` actions of ``size`` dimensions.

        Point k, counted from one, is reached after ``k * dt`` seconds.
        """


@dataclass
class PositionControl(ForwardModel):
    """The action is the point: an absolute position that is reached at once, or the command itself.

    Args:
        position: the observation that holds the current position; needed by limits of speed and acceleration only.
        dt: seconds from one action to the next.
    """

    position: str | None = None
    _: KW_ONLY
    dt: float = 1.0

    def __post_init__(self) -> None:
        _check_above_zero(self, "dt")

    def predict(self, obs: Obs, chunk: int, size: int) -> Prediction:
        """Return the actions themselves."""
        device = next(iter(obs.values())).device
        gain = torch.eye(chunk, device=device)
        return Prediction.from_gain(torch.zeros(1, 1, 1, device=device), gain, size)


@dataclass
class DeltaPositionControl(ForwardModel):
    """The action is added to the position: ``p <- p + scale * a``, once for every action of a chunk.

    Args:
        position: the observation that holds the position now.
        scale: units of the position a unit of the action.
        dt: seconds from one action to the next.
    """

    position: str
    _: KW_ONLY
    scale: float = 1.0
    dt: float = 1.0

    def __post_init__(self) -> None:
        _check_above_zero(self, "scale", "dt")

    def predict(self, obs: Obs, chunk: int, size: int) -> Prediction:
        """Sum the actions."""
        start = latest(obs, self.position)
        gain = self.scale * torch.ones(chunk, chunk, device=start.device).tril()
        return Prediction.from_gain(start.unsqueeze(1), gain, size)


@dataclass
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
    velocity: str
    _: KW_ONLY
    stiffness: float
    damping: float
    substep: float
    substeps: int
    lookahead: int
    dt: float = field(init=False)

    def __post_init__(self) -> None:
        if self.lookahead < 1 or self.substeps < 1:
            raise UserError(
                f"PDController: lookahead={self.lookahead}, substeps={self.substeps}; both must be at least 1"
            )
        _check_above_zero(self, "substep")
        self.dt = self.substep * self.substeps

    def predict(self, obs: Obs, chunk: int, size: int) -> Prediction:
        """Predict the position after every action by powers of the transition matrix."""
        position, velocity = latest(obs, self.position), latest(obs, self.velocity)
        spring = self.stiffness, self.damping, self.substep
        responses = _spring_responses(spring, self.substeps, self.lookahead, chunk, size)
        by_start, matrix = (x.to(position) for x in responses)
        offset = by_start[:, :1] * position.unsqueeze(1) + by_start[:, 1:] * velocity.unsqueeze(1)
        return Prediction(offset, matrix, size)


@cache  # the same for every observation
def _spring_responses(
    spring: tuple[float, float, float], substeps: int, lookahead: int, chunk: int, size: int
) -> tuple[Float[Tensor, "K 2"], Float[Tensor, "A DK"]]:
    """Compute the gains of the current (position, velocity), and of each action, on the position after k actions."""
    stiffness, damping, substep = spring
    one = torch.tensor(
        [[1.0, substep], [-substep * stiffness, 1.0 - substep * damping]], dtype=torch.float64
    )
    force = torch.tensor([[0.0], [substep * stiffness]], dtype=torch.float64)
    step = torch.zeros_like(force)
    for _ in range(substeps):
        step = one @ step + force
    powers, gains = _roll_out(torch.linalg.matrix_power(one, substeps), step, chunk, lookahead)
    prediction = Prediction.from_gain(torch.zeros(1, 1, 1), gains[:, 0], size)
    return powers[:, 0], prediction.matrix


def _roll_out(
    free: Float[Tensor, "S S"], gain: Float[Tensor, "S D"], chunk: int, lookahead: int
) -> tuple[Float[Tensor, "K S S"], Float[Tensor, "K S TD"]]:
    """Compute the gains of the current state and of T actions on the states of ``x' = free x + gain a``.

    The last action is held to the end of ``lookahead``.
    """
    size = gain.shape[1]
    power, effect = torch.eye(len(free)).to(free), free.new_zeros(len(free), chunk * size)
    powers, effects = [], []
    for k in range(chunk - 1 + lookahead):
        power, effect = free @ power, free @ effect
        now = min(k, chunk - 1) * size
        effect[:, now : now + size] += gain
        powers.append(power)
        effects.append(effect)
    return torch.stack(powers), torch.stack(effects)


@dataclass(eq=False)
class LinearDynamics(ForwardModel):
    """``x' = A x + B a + c``, the least-squares fit of one step of the state ``x``, which consists of observations.

    It is rolled out over a chunk of actions, and the last one is held to the end of ``lookahead``. It is exact where
    the motion is linear. Two that were fitted separately are taken to differ.

    Args:
        position: the observation that constraints refer to, environment units.
        others: further observations that the motion depends on, such as the velocity.
        step: (S, S + A + 1), columns for state, action and the constant; from :meth:`fit`.
        dt: seconds from one action to the next.
        lookahead: periods of one action, at least 1, that are predicted from the last action of the chunk on.
        error: root mean square of the position's residuals in one step, environment units.
    """

    position: str
    others: Sequence[str]
    step: Float[Tensor, "S SA1"]
    _: KW_ONLY
    dt: float
    lookahead: int
    error: float

    def __post_init__(self) -> None:
        if self.lookahead < 1 or not self.dt > 0:
            raise UserError(
                f"LinearDynamics: lookahead={self.lookahead}, dt={self.dt}; allowed: at least 1, above zero"
            )

    @classmethod
    def fit(
        cls,
        position: str,
        others: Sequence[str],
        *,
        before: Obs,
        action: Float[Tensor, "M A"],
        after: Obs,
        dt: float,
        lookahead: int,
    ) -> LinearDynamics:
        """Fit M transitions by least squares; observations are ``{name: (M, D)}``.

        Raises:
            UserError: fewer transitions than parameters for each part of the state.
        """
        names = [position, *others]
        state, following = (
            torch.cat([obs[name].flatten(1) for name in names], 1).double()
            for obs in (before, after)
        )
        inputs = torch.cat([state, action.double(), torch.ones(len(state), 1).double()], 1)
        if len(inputs) < inputs.shape[1]:
            raise UserError(
                f"LinearDynamics: {len(inputs)} transitions; at least {inputs.shape[1]} are needed"
            )
        # What is not excited by the data has no influence: the solution of least norm.
        solution = torch.linalg.lstsq(inputs, following, driver="gelsd").solution
        size = before[position].flatten(1).shape[1]
        residual = (inputs @ solution - following)[:, :size]
        error = float(residual.square().sum(1).mean().sqrt())
        return cls(position, others, solution.T, dt=dt, lookahead=lookahead, error=error)

    def predict(self, obs: Obs, chunk: int, size: int) -> Prediction:
        """Roll the step out.

        Raises:
            UserError: the observations or actions are not those it was fitted to.
        """
        state = torch.cat([latest(obs, n) for n in (self.position, *self.others)], 1).double()
        width, actions = len(self.step), self.step.shape[1] - len(self.step) - 1
        if state.shape[1] != width or chunk * size % actions:
            raise UserError(
                f"LinearDynamics was fitted to states of size {width} and actions of size {actions}, "
                f"not {state.shape[1]} and {chunk * size}"
            )
        # The state with a one appended, which the constant multiplies.
        step = F.pad(self.step.to(state.device), (0, 0, 0, 1))
        step[-1, -1] = 1.0
        free = torch.cat([step[:, :width], step[:, -1:]], 1)
        powers, gains = _roll_out(free, step[:, width:-1], chunk * size // actions, self.lookahead)
        offset = F.pad(state, (0, 1), value=1.0) @ powers[:, :size].mT
        matrix = gains[:, :size].permute(2, 1, 0).flatten(1)
        return Prediction(offset.transpose(0, 1), matrix, size).to(latest(obs, self.position))


def latest(obs: Obs, name: str) -> Float[Tensor, "B D"]:
    """Return the last entry of a window of vectors.

    Raises:
        UserError: there is no such observation.
    """
    if name not in obs:
        raise UserError(f"there is no observation '{name}'; there are {', '.join(sorted(obs))}")
    return obs[name][:, -1].flatten(1)


def _check_above_zero(model: ForwardModel, *keys: str) -> None:
    for key in keys:
        if not 0 < (number := getattr(model, key)) < float("inf"):
            raise UserError(f"{type(model).__name__}: {key}={number}; it must be positive")
