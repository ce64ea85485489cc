"""A mass that follows set-points under proportional and derivative control, and its motion between control points."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from functools import cache
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ibc.constraints.dynamics import ForwardModel, check_above_zero, latest, roll_out
from ibc.constraints.motion import Deviation, Motion, Prediction
from ibc.errors import UserError
from ibc.spec import Obs

#: Stiffness (1/s^2), damping (1/s), seconds of a substep.
Spring = tuple[float, float, float]
#: The most segments of one period of an action. With as many substeps or fewer, the motion is exact.
SEGMENTS = 10
#: The share of the distance to the set-point (and of a velocity, in units per unit/s) that is left where the
#: prediction of a motion ends and a bound for all times begins.
SETTLED = 0.01
#: Powers of the transition matrix below this length are zero; after so many, the body counts as one without rest.
NEGLIGIBLE, MOST_POWERS = 1e-8, 2**17


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
        check_above_zero(self, "substep")
        for key in ("stiffness", "damping"):
            if not 0 <= (number := getattr(self, key)) < float("inf"):
                raise UserError(f"PDController: {key}={number}; it must be at least 0")
        self.dt = self.substep * self.substeps

    def predict(self, obs: Obs, chunk: int, size: int) -> Prediction:
        """Predict the position after every action by powers of the transition matrix."""
        position, velocity = latest(obs, self.position), latest(obs, self.velocity)
        spring = self.stiffness, self.damping, self.substep
        responses = _spring_responses(spring, self.substeps, self.lookahead, chunk, size)
        by_start, matrix = (x.to(position) for x in responses)
        offset = by_start[:, :1] * position.unsqueeze(1) + by_start[:, 1:] * velocity.unsqueeze(1)
        return Prediction(offset, matrix, size)

    def motion(self, obs: Obs, chunk: int, size: int) -> Motion:
        """Describe the motion until the body is at rest, if the last set-point is held.

        Within a substep the body moves in a straight line, so with ten substeps or fewer in a period the segments are
        the motion. With more, a segment holds several; how far the body leaves it is bounded by multiples, exact
        for each alone, of its acceleration and velocity at the start. After ``lookahead``, each period is one segment
        until a hundredth of the distance to the set-point is left, and a last one leads there, with a bound on all that
        the body does from then on. Whatever moves beside the body is taken to stand still after ``lookahead``.

        Raises:
            UserError: the body does not come to rest.
        """
        position, velocity = latest(obs, self.position), latest(obs, self.velocity)
        spring = self.stiffness, self.damping, self.substep
        plan = _plan_motion(spring, self.substeps, self.lookahead, chunk, size)

        def prediction(by_start: Tensor, matrix: Tensor) -> Prediction:
            gains = by_start.to(position)
            offset = gains[:, :1] * position.unsqueeze(1) + gains[:, 1:] * velocity.unsqueeze(1)
            return Prediction(offset, matrix.to(position), size)

        return Motion(
            prediction(*plan.nodes),
            position,
            plan.times,
            plan.first,
            [
                Deviation(plan.index, factor, prediction(*vectors))
                for factor, vectors in zip(plan.factors, plan.vectors, strict=True)
            ],
        )

    def brake(self, obs: Obs, chunk: int, size: int) -> Float[Tensor, "B A"]:
        """Return the set-point for which the greatest distance from the present position is least.

        It lies behind the present position, in proportion to the velocity.
        """
        ahead = _braking_time((self.stiffness, self.damping, self.substep))
        setpoint = latest(obs, self.position) + ahead * latest(obs, self.velocity)
        return setpoint.repeat(1, chunk)


#: Gains of (position, velocity), and the matrix of actions, for some points.
Gains = tuple[Float[Tensor, "_ 2"], Float[Tensor, "_ _"]]


@dataclass(frozen=True)
class _MotionPlan:
    """What of a motion does not depend on the observation; factors and vectors are of acceleration and velocity."""

    nodes: Gains
    times: Float[Tensor, " S1"]
    first: int
    index: Tensor
    factors: Float[Tensor, "2 I"]
    vectors: tuple[Gains, Gains]


@cache  # the same for every observation
def _spring_responses(
    spring: Spring, substeps: int, lookahead: int, chunk: int, size: int
) -> tuple[Float[Tensor, "K 2"], Float[Tensor, "A DK"]]:
    """Compute the gains of the current (position, velocity), and of each action, on the position after k actions."""
    powers, gains = _states(spring, substeps, lookahead, chunk)
    prediction = Prediction.from_gain(torch.zeros(1, 1, 1), gains[:, 0], size)
    return powers[:, 0], prediction.matrix


def _states(
    spring: Spring, substeps: int, lookahead: int, chunk: int
) -> tuple[Float[Tensor, "K 2 2"], Float[Tensor, "K 2 T"]]:
    """Compute the gains of the current (position, velocity), and of each action, on those after k actions."""
    free = torch.linalg.matrix_power(_transition(spring), substeps)
    return roll_out(free, _by_setpoint(free), chunk, lookahead)


def _transition(spring: Spring) -> Float[Tensor, "2 2"]:
    """Return the matrix of one substep for (position, velocity), the set-point being zero."""
    stiffness, damping, substep = spring
    return torch.tensor(
        [[1.0, substep], [-substep * stiffness, 1.0 - substep * damping]], dtype=torch.float64
    )


def _by_setpoint(free: Float[Tensor, "*S 2 2"]) -> Float[Tensor, "*S 2 1"]:
    """Compute the gain of the set-point, at which (set-point, 0) is a fixed point."""
    return (torch.eye(2).to(free) - free)[..., :1]


@cache
def _plan_motion(
    spring: Spring, substeps: int, lookahead: int, chunk: int, size: int
) -> _MotionPlan:
    """Compute the gains on the ends of all segments, and on acceleration and velocity where they begin."""
    transition = _transition(spring)
    tail = _deviation_at_rest(spring, _powers_until_rest(transition))
    settling = _settling_periods(torch.linalg.matrix_power(transition, substeps))
    powers, gains = _states(spring, substeps, lookahead + settling, chunk)
    # Rows of all gains: position and velocity now, then the actions.
    states = torch.cat([torch.eye(2, 2 + chunk).to(powers)[None], torch.cat([powers, gains], 2)])
    held = torch.arange(len(states)).clamp(max=chunk - 1)
    setpoints = F.one_hot(2 + held, 2 + chunk).to(states).unsqueeze(1)
    periods = len(powers) - settling
    marks = torch.linspace(0, substeps, min(substeps, SEGMENTS) + 1).round().long().tolist()
    starts, ends, targets, factors = [], [], [], []
    for part, counts in (
        (slice(0, periods), marks),
        (slice(periods, periods + settling), [0, substeps]),
    ):
        free = torch.stack([torch.linalg.matrix_power(transition, n) for n in counts])
        within = free @ states[part, None] + _by_setpoint(free) @ setpoints[part, None]
        starts.append(within[:, :-1].flatten(0, 1))
        ends.append(within[:, 1:, 0].flatten(0, 1))
        targets.append(setpoints[part].repeat_interleave(len(counts) - 1, 0))
        lengths = [b - a for a, b in pairwise(counts)]
        by_length = {n: _deviation(spring, _powers(transition, n)) for n in set(lengths)}
        factors += [by_length[n] for _ in range(len(within)) for n in lengths]
    start = torch.cat([*starts, states[-1:]])
    target = torch.cat([*targets, setpoints[-1:]])[:, 0]
    factor = torch.tensor([*factors, tail]).T
    (index,) = torch.nonzero(factor.amax(0) > 0, as_tuple=True)
    stiffness, damping, substep = spring
    acceleration = stiffness * (target - start[:, 0]) - damping * start[:, 1]
    times = [(k * substeps + n) * substep for k in range(periods) for n in marks[1:]]
    return _MotionPlan(
        _split(torch.cat([*ends, setpoints[-1]]), size),
        torch.tensor([0.0, *times, *[times[-1]] * (settling + 1)]),
        len(marks) - 1,
        index,
        factor[:, index],
        (_split(acceleration[index], size), _split(start[index, 1], size)),
    )


def _split(gains: Float[Tensor, "S T2"], size: int) -> Gains:
    prediction = Prediction.from_gain(torch.zeros(1, 1, 1), gains[:, 2:], size)
    return gains[:, :2], prediction.matrix


def _settling_periods(free: Float[Tensor, "2 2"]) -> int:
    """Count the periods until little of position and velocity is left in the position, relative to the set-point."""
    count, power = 1, free
    while power[0].abs().amax() > SETTLED:
        count, power = count + 1, free @ power
    return count


def _powers(transition: Float[Tensor, "2 2"], count: int) -> Float[Tensor, "C 2 2"]:
    """Compute the powers from 0 to ``count``."""
    return torch.stack([torch.linalg.matrix_power(transition, n) for n in range(count + 1)])


def _powers_until_rest(transition: Float[Tensor, "2 2"]) -> Float[Tensor, "C 2 2"]:
    """Compute the powers until they are negligible.

    Raises:
        UserError: they do not become so.
    """
    powers, factor = torch.eye(2).to(transition)[None], transition
    while powers[-1].abs().amax() > NEGLIGIBLE:
        powers, factor = torch.cat([powers, factor @ powers]), factor @ factor
        if len(powers) > MOST_POWERS or not torch.isfinite(powers[-1]).all():
            raise UserError(
                "PDController: the body does not come to rest, so no hard constraint can be kept; "
                "it needs damping, and substeps that are short enough"
            )
    return powers


def _deviation(spring: Spring, powers: Float[Tensor, "C 2 2"]) -> tuple[float, float]:
    """Bound the distance from the straight line between the ends, by acceleration and velocity at the start."""
    positions = powers[:, 0]
    part = torch.linspace(0, 1, len(positions)).to(positions).unsqueeze(1)
    return _largest(spring, positions - positions[0] - part * (positions[-1] - positions[0]))


def _deviation_at_rest(spring: Spring, powers: Float[Tensor, "C 2 2"]) -> tuple[float, float]:
    """Bound the distance from the straight line to the set-point, for all times to come."""
    beyond = powers[:, 0].clone()
    beyond[:, 0] -= beyond[:, 0].clamp(0, 1)  # a share of the way that is left is on the line
    return _largest(spring, beyond)


def _largest(spring: Spring, by_state: Float[Tensor, "C 2"]) -> tuple[float, float]:
    """Turn gains of (position, velocity) into the largest ones of acceleration and velocity."""
    stiffness, damping, _ = spring
    by_acceleration = -by_state[:, 0] / stiffness
    by_velocity = by_state[:, 1] - by_state[:, 0] * damping / stiffness
    return float(by_acceleration.abs().amax()), float(by_velocity.abs().amax())


@cache
def _braking_time(spring: Spring) -> float:
    """Return the set-point, for a body at zero with velocity one, whose greatest distance from zero is least.

    The distance is a convex function of the set-point: it is found on a grid of two thousand steps.
    """
    powers = _powers_until_rest(_transition(spring))[:, 0]
    greatest = powers[:, 1].amax()
    grid = torch.linspace(-1, 1, 2001).to(powers) * greatest
    distance = (grid * (1 - powers[:, :1]) + powers[:, 1:]).abs().amax(0)
    return float(grid[distance.argmin()])
