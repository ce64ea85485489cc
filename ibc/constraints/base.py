"""Define a constraint: zero where it is satisfied, a squared hinge where it is not, in environment units."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import reduce
from operator import add

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ibc.constraints.dynamics import ForwardModel, PositionControl
from ibc.constraints.motion import Motion, Prediction, Segments
from ibc.energies.base import BoundEnergy, Energy, autograd_gradient
from ibc.errors import UserError
from ibc.spec import Obs

#: An excess up to this (environment units) is rounding.
TOLERANCE = 1e-6
#: Energy of one squared unit of excess. At a hundredth of a unit it is 1: a factor e of likelihood.
STRENGTH = 1e4
#: Lengths below this have no direction.
TINY = 1e-12


class Constraint(Energy):
    """``strength * sum_j max(0, excess_j) ** 2`` of the points that the actions lead to.

    A subclass defines :meth:`excess`; it may also override :meth:`point_gradient` where speed matters, and say by
    ``lipschitz`` that it is about places, so that hard compositions keep it between the points as well.

    Args:
        model: predicts the points; the actions themselves if None.
        strength: energy of one squared unit of excess.

    Attributes:
        lipschitz: the most by which an excess grows for each unit that its point moves, where each one depends on one
            point and not on its time; None where it does not, and is checked at the points only.

    Raises:
        UserError: no forward model, or a strength that is not positive.
    """

    lipschitz: float | None = None

    def __init__(self, model: ForwardModel | None = None, strength: float = STRENGTH) -> None:
        super().__init__()
        self.model = PositionControl() if model is None else model
        if not isinstance(self.model, ForwardModel):
            raise UserError(f"{self.name}: model is a {type(model).__name__}, not a forward model")
        if not 0 < strength < math.inf:
            raise UserError(f"{self.name}: strength={strength}; it must be positive")
        self.strength = strength

    @property
    def name(self) -> str:
        """The name in messages."""
        return type(self).__name__

    def size(self, obs: Obs) -> int | None:
        """Return D, the dimensions of a point; None if the model decides."""
        return None

    @abstractmethod
    def excess(self, points: Float[Tensor, "B N K D"], obs: Obs) -> Float[Tensor, "B N J"]:
        """Compute by how much each of J conditions is violated; zero or negative where it is satisfied.

        Args:
            points: K predicted points of each candidate, environment units.
            obs: ``{name: (B, To, ...)}``, environment units.
        """

    def segment_excess(self, segments: Segments, obs: Obs) -> Float[Tensor, "B N S"]:
        """Bound the largest excess on each straight segment; where it can be computed, a subclass does so.

        By default from the excess at both ends: it grows by at most ``lipschitz`` from either.
        """
        assert self.lipschitz is not None
        ends = self.excess(segments.start, obs) + self.excess(segments.end, obs)
        length = norm(segments.end - segments.start)
        largest = ends.view(*length.shape, -1).amax(-1)
        return (largest + self.lipschitz * length) / 2

    def energy(self, excess: Float[Tensor, "B N J"]) -> Float[Tensor, "B N"]:
        """Compute the energy of an excess."""
        return self.strength * excess.clamp(min=0).square().sum(-1)

    def point_gradient(
        self, points: Float[Tensor, "B N K D"], obs: Obs
    ) -> Float[Tensor, "B N K D"]:
        """Compute the gradient of the energy by the points."""
        return autograd_gradient(lambda p: self.energy(self.excess(p, obs)), points)

    def bind(self, obs: Obs) -> ConstraintGroup:
        with _named(self):
            own, of_model = self.size(obs), self.model.size(obs)
            if own is not None and of_model is not None and own != of_model:
                raise UserError(f"it has {own} dimensions, its model {of_model}")
        return ConstraintGroup([(self, 1.0)], obs, own or of_model)

    def numbers(self, key: str, values: Sequence[float]) -> Float[Tensor, " D"]:
        """Return a parameter as a vector.

        Raises:
            UserError: it is empty or not finite.
        """
        vector = torch.as_tensor(values, dtype=torch.float32).flatten()
        if len(vector) == 0 or not torch.isfinite(vector).all():
            raise UserError(f"{self.name}: {key}={vector.tolist()}; it must be finite numbers")
        return vector

    def number(self, key: str, value: float, *, least: float = 0.0) -> float:
        """Return a parameter as a number.

        Raises:
            UserError: it is below ``least`` or not finite.
        """
        if not least <= value < math.inf:
            raise UserError(f"{self.name}: {key}={value}; it must be at least {least}")
        return float(value)


class ConstraintGroup(BoundEnergy):
    """The weighted sum of constraints on the same points, bound to one observation; the points are predicted once.

    Args:
        constraints: each with its weight.
        obs: the observation.
        size: D, the dimensions of a point; None for the size of the action.
    """

    is_constrained = True

    def __init__(
        self, constraints: Sequence[tuple[Constraint, float]], obs: Obs, size: int | None
    ) -> None:
        self.constraints = list(constraints)
        self._obs = obs
        self._size = size
        self._prediction: tuple[tuple[int, torch.dtype], Prediction] | None = None

    def __call__(self, action: Float[Tensor, "B N A"], /) -> Float[Tensor, "B N"]:
        return reduce(add, [energy for _, energy in self._evaluate(action)])

    def action_gradient(self, action: Float[Tensor, "B N A"], /) -> Float[Tensor, "B N A"]:
        """See :class:`BoundEnergy`; gradients by the points are summed and go back to actions at once."""
        prediction = self._predict(action)
        points = prediction.points(action)
        parts = []
        for constraint, weight in self.constraints:
            with _named(constraint):
                gradient = constraint.point_gradient(points, self._obs)
            parts.append(gradient if weight == 1 else weight * gradient)
        return prediction.vjp(reduce(add, parts))

    def feasible(self, action: Float[Tensor, "B N A"], /) -> Bool[Tensor, "B N"]:
        largest = [excess.amax(-1) for excess, _ in self._evaluate(action)]
        return torch.stack(largest).amax(0) <= TOLERANCE

    def violation(self, action: Float[Tensor, "B N A"], /) -> Float[Tensor, "B N"]:
        evaluated = self._evaluate(action)
        parts = [torch.where(x.amax(-1) <= TOLERANCE, 0.0, energy) for x, energy in evaluated]
        return reduce(add, parts)

    def action_sizes(self) -> list[tuple[str, int]]:
        """See :class:`BoundEnergy`; where points have no size of their own, the chunk is one."""
        if self._size is None:
            return []
        return [(c.name, c.model.action_size(self._size)) for c, _ in self.constraints]

    def along_motion(self) -> ConstraintGroup:
        """See :class:`BoundEnergy`."""
        return ConstraintsAlongMotion(self.constraints, self._obs, self._size)

    def brake(self, length: int) -> Float[Tensor, "B A"] | None:
        """See :class:`BoundEnergy`; None if no constraint is about places."""
        if all(constraint.lipschitz is None for constraint, _ in self.constraints):
            return None
        size = self._size or length
        return self.constraints[0][0].model.brake(self._obs, length // size, size)

    def merged(self, weight: float, other: BoundEnergy, other_weight: float) -> BoundEnergy | None:
        """See :class:`BoundEnergy`; constraints on the same points are merged."""
        if type(other) is not type(self):
            return None
        assert isinstance(other, ConstraintGroup)
        mine, theirs = self.constraints[0][0].model, other.constraints[0][0].model
        if self._obs is not other._obs or self._size != other._size or mine != theirs:
            return None
        constraints = [(c, weight * w) for c, w in self.constraints]
        constraints += [(c, other_weight * w) for c, w in other.constraints]
        return type(self)(constraints, self._obs, self._size)

    def _evaluate(
        self, action: Float[Tensor, "B N A"]
    ) -> Iterator[tuple[Float[Tensor, "B N J"], Float[Tensor, "B N"]]]:
        """Yield excess and weighted energy of each constraint."""
        excess_of = self._excess_at(action)
        for constraint, weight in self.constraints:
            with _named(constraint):
                excess = excess_of(constraint)
                if excess.ndim != 3 or excess.shape[:2] != action.shape[:2]:
                    expected = f"({action.shape[0]}, {action.shape[1]}, J)"
                    raise UserError(f"its excess has shape {tuple(excess.shape)}, not {expected}")
            yield excess, weight * constraint.energy(excess)

    def _excess_at(self, action: Float[Tensor, "B N A"]) -> Callable[[Constraint], Tensor]:
        """Return the excess (B, N, J) of these actions as a function of the constraint; points are predicted here."""
        points = self._predict(action).points(action)
        return lambda constraint: constraint.excess(points, self._obs)

    def _predict(self, action: Tensor) -> Prediction:
        """Return the points as a function of actions of this length.

        Raises:
            UserError: the actions do not consist of points, or an observation is missing.
        """
        length = action.shape[-1]
        kind = length, action.dtype
        if self._prediction is None or self._prediction[0] != kind:
            constraint, size = self.constraints[0][0], self._size or length
            with _named(constraint):
                chunk = self._chunk(length, size)
                prediction = constraint.model.predict(self._obs, chunk, size)
            self._prediction = kind, prediction.to(action)
        return self._prediction[1]

    def _chunk(self, length: int, size: int) -> int:
        """The number of actions in a chunk of so many numbers."""
        of_one = self.constraints[0][0].model.action_size(size)
        if length % of_one:
            points = f"points of {size} dimensions by actions of {of_one} numbers"
            raise UserError(f"actions of size {length} do not hold {points}")
        return length // of_one


class ConstraintsAlongMotion(ConstraintGroup):
    """Constraints at the predicted points, and everywhere between them for those that are about places.

    A violation at present cannot be undone: up to the first predicted point the excess may be as large as it is now.
    """

    _motion: tuple[tuple[int, torch.dtype], Motion] | None = None

    def action_gradient(self, action: Float[Tensor, "B N A"], /) -> Float[Tensor, "B N A"]:
        """See :class:`BoundEnergy`; by automatic differentiation."""
        return autograd_gradient(self, action)

    def _excess_at(self, action: Float[Tensor, "B N A"]) -> Callable[[Constraint], Tensor]:
        at_points = super()._excess_at(action)
        if all(constraint.lipschitz is None for constraint, _ in self.constraints):
            return at_points
        motion = self._plan(action)
        segments = motion.segments(action)

        def excess(constraint: Constraint) -> Tensor:
            if constraint.lipschitz is None:
                return at_points(constraint)
            along = constraint.segment_excess(segments, self._obs)
            along = along + constraint.lipschitz * segments.margin
            now = constraint.segment_excess(segments.present(), self._obs).clamp(min=0)
            first = along[..., : motion.first] - now
            return torch.cat([first, along[..., motion.first :], at_points(constraint)], -1)

        return excess

    def _plan(self, action: Tensor) -> Motion:
        length = action.shape[-1]
        kind = length, action.dtype
        if self._motion is None or self._motion[0] != kind:
            size = self._size or length
            model = self.constraints[0][0].model
            motion = model.motion(self._obs, self._chunk(length, size), size)
            self._motion = kind, motion.to(action)
        return self._motion[1]


@contextmanager
def _named(constraint: Constraint) -> Iterator[None]:
    """Add the name of the constraint to errors."""
    try:
        yield
    except UserError as error:
        raise UserError(f"term {constraint.name}: {error}") from error
    except KeyError as error:
        raise UserError(f"term {constraint.name} needs observation {error}") from error


def norm(vector: Float[Tensor, "*B D"]) -> Float[Tensor, "*B"]:
    """Compute the Euclidean length, with a gradient of zero at zero."""
    # Over a few numbers far apart in memory this is ten times as fast as vector_norm.
    return vector.square().sum(-1).clamp(min=TINY**2).sqrt()
