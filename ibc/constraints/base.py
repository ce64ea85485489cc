"""What a hand-written constraint is: zero where it is kept, a squared hinge where it is not, in environment units."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ibc.constraints.dynamics import ForwardModel, Reach, latest
from ibc.energies.base import Energy, EnergyFn
from ibc.errors import UserError
from ibc.spec import Obs

#: An excess up to this (environment units) is rounding.
TOLERANCE = 1e-6

#: Energy of one squared unit of excess. At a hundredth of a unit it is 1: as much as a factor e of likelihood.
STRENGTH = 1e4
#: Lengths below this have no direction.
TINY = 1e-12


@dataclass(frozen=True)
class Ball:
    """A constraint in the form that is quick to evaluate: vectors ``action @ matrix + offset``, long or short enough.

    Attributes:
        matrix: (A, D * K), dimensions outermost, as in :class:`Reach`.
        offset: (B or 1, D, K).
        radius: the length that vectors must not exceed if ``inside``, and must have otherwise.
        inside: which of the two.
    """

    matrix: Float[Tensor, "A DK"]
    offset: Float[Tensor, "_ D K"]
    radius: float
    inside: bool


class Constraint(Energy):
    """``strength * sum_j max(0, excess_j) ** 2`` of the points where an action leads.

    Once differentiable everywhere, zero inside the feasible set. Subclasses state their excess and its gradient.

    Args:
        model: where actions lead.
        strength: energy of one squared unit of excess.
    """

    def __init__(self, model: ForwardModel, strength: float) -> None:
        super().__init__()
        if not isinstance(model, ForwardModel):
            raise UserError(f"{self.name}: model is a {type(model).__name__}, not a forward model")
        if not 0 < strength < math.inf:
            raise UserError(f"{self.name}: strength={strength}; it must be positive")
        self.model = model
        self.strength = strength

    @property
    def name(self) -> str:
        """For messages."""
        return type(self).__name__

    def size(self, obs: Obs) -> int | None:
        """D, the dimensions of the points it is about; None if that is left to the model."""
        return None

    @abstractmethod
    def target(self, obs: Obs, reach: Reach) -> Float[Tensor, "_ 1 _ D"]:
        """What the points are compared with, for this observation."""

    @abstractmethod
    def excess(
        self, point: Float[Tensor, "B N K D"], target: Float[Tensor, "_ 1 _ D"]
    ) -> Float[Tensor, "B N J"]:
        """By how much the constraint is broken; negative where it is kept."""

    @abstractmethod
    def pull(
        self,
        point: Float[Tensor, "B N K D"],
        target: Float[Tensor, "_ 1 _ D"],
        force: Float[Tensor, "B N J"],
    ) -> Float[Tensor, "B N K D"]:
        """``sum_j force_j * d excess_j / d point``."""

    def push(
        self, point: Float[Tensor, "B N K D"], target: Float[Tensor, "_ 1 _ D"]
    ) -> Float[Tensor, "B N K D"]:
        """The gradient of the energy with respect to the points; a closed form where that is cheaper."""
        force = (2 * self.strength) * self.excess(point, target).clamp(min=0)
        return self.pull(point, target, force)

    def balls(self, reach: Reach, target: Float[Tensor, "_ 1 _ D"]) -> list[Ball]:
        """The constraint in the form of :class:`Ball`; none where it does not have that."""
        return []

    def bind(self, obs: Obs) -> BoundConstraint:
        """See :class:`Energy`."""
        return BoundConstraint(self, obs)

    def numbers(self, key: str, values: Sequence[float]) -> Float[Tensor, " D"]:
        """A checked vector of parameters.

        Raises:
            UserError: it is empty or not finite.
        """
        vector = torch.as_tensor(values, dtype=torch.float32).flatten()
        if len(vector) == 0 or not torch.isfinite(vector).all():
            raise UserError(f"{self.name}: {key}={vector.tolist()}; it must be finite numbers")
        return vector

    def number(self, key: str, value: float, *, least: float = 0.0) -> float:
        """A checked parameter.

        Raises:
            UserError: it is below ``least`` or not finite.
        """
        if not least <= value < math.inf:
            raise UserError(f"{self.name}: {key}={value}; it must be at least {least}")
        return float(value)


class BoundConstraint:
    """A :class:`Constraint` with its observation bound."""

    def __init__(self, constraint: Constraint, obs: Obs) -> None:
        self.constraint = constraint
        self._obs = obs
        try:
            own, models = constraint.size(obs), constraint.model.size(obs)
        except UserError as error:
            raise UserError(f"term {constraint.name}: {error}") from error
        if own is not None and models is not None and own != models:
            raise UserError(f"term {constraint.name}: it has {own} dimensions, its model {models}")
        self._size = own or models
        self._made: tuple[int, Reach, Tensor] | None = None

    def __call__(self, action: Float[Tensor, "B N A"], /) -> Float[Tensor, "B N"]:
        """See :class:`EnergyFn`."""
        return self.constraint.strength * self.excess(action).clamp(min=0).square().sum(-1)

    def action_gradient(self, action: Float[Tensor, "B N A"], /) -> Float[Tensor, "B N A"]:
        """See :class:`HasActionGradient`: the chain of hinge, stated gradient and forward model."""
        reach, target = self.located(action)
        return reach.pull(self.constraint.push(reach.points(action), target))

    def feasible(self, action: Float[Tensor, "B N A"], /) -> Bool[Tensor, "B N"]:
        """See :class:`HasFeasible`."""
        return (self.excess(action) <= TOLERANCE).all(-1)

    def violation(self, action: Float[Tensor, "B N A"], /) -> Float[Tensor, "B N"]:
        """See :class:`HasFeasible`."""
        return torch.where(self.feasible(action), 0.0, self(action))

    def excess(self, action: Float[Tensor, "B N A"]) -> Float[Tensor, "B N J"]:
        """By how much each part of the constraint is broken, in environment units."""
        reach, target = self.located(action)
        return self.constraint.excess(reach.points(action), target)

    def shares_points_with(self, other: BoundConstraint) -> bool:
        """Whether both look at the same points, given that both are bound to the same observation."""
        same = self.constraint.model.is_same(other.constraint.model)
        return same and self._size == other._size

    def located(self, action: Tensor, reach: Reach | None = None) -> tuple[Reach, Tensor]:
        """The points as a function of such actions, and what they are compared with.

        ``reach`` is that of a constraint with the same points, if there is one.

        Raises:
            UserError: the actions do not hold points of this constraint's dimensions, or an observation is missing.
        """
        name, length = self.constraint.name, action.shape[-1]
        if self._made is None or self._made[0] != length:
            size = self._size or length
            if length % size:
                raise UserError(
                    f"term {name}: actions of size {length} do not hold points of {size} dimensions"
                )
            try:
                if reach is None:
                    reach = self.constraint.model.reach(self._obs, length // size, size)
                target = self.constraint.target(self._obs, reach).to(action)
            except UserError as error:
                raise UserError(f"term {name}: {error}") from error
            if target.shape[-1] != size:
                raise UserError(f"term {name}: it has {target.shape[-1]} dimensions, not {size}")
            self._made = (length, reach.to(action), target)
        return self._made[1], self._made[2]


class Custom(Energy):
    """A user's own constraint: ``function(obs, action)`` gives the excess (B, N) of actions (B, N, A).

    Positive where it is broken, in whatever unit; differentiable by automatic differentiation if the search follows
    gradients.

    Args:
        function: of ``{name: (B, To, ...)}`` and (B, N, A), environment units.
        strength: energy of one squared unit of excess.
    """

    def __init__(
        self, function: Callable[[Obs, Tensor], Tensor], strength: float = STRENGTH
    ) -> None:
        super().__init__()
        if not callable(function):
            raise UserError(f"Custom: {function!r} is not a function of (obs, action)")
        if not 0 < strength < math.inf:
            raise UserError(f"Custom: strength={strength}; it must be positive")
        self.function = function
        self.strength = strength

    def bind(self, obs: Obs) -> BoundCustom:
        """See :class:`Energy`."""
        return BoundCustom(self.function, self.strength, obs)


class BoundCustom(EnergyFn):
    """A :class:`Custom` with its observation bound."""

    def __init__(
        self, function: Callable[[Obs, Tensor], Tensor], strength: float, obs: Obs
    ) -> None:
        self.name = f"Custom({getattr(function, '__name__', type(function).__name__)})"
        self._function = function
        self._strength = strength
        self._obs = obs

    def __call__(self, action: Float[Tensor, "B N A"], /) -> Float[Tensor, "B N"]:
        """See :class:`EnergyFn`."""
        return self._strength * self.excess(action).clamp(min=0).square()

    def feasible(self, action: Float[Tensor, "B N A"], /) -> Bool[Tensor, "B N"]:
        """See :class:`HasFeasible`."""
        return self.excess(action) <= TOLERANCE

    def violation(self, action: Float[Tensor, "B N A"], /) -> Float[Tensor, "B N"]:
        """See :class:`HasFeasible`."""
        return torch.where(self.feasible(action), 0.0, self(action))

    def excess(self, action: Float[Tensor, "B N A"]) -> Float[Tensor, "B N"]:
        """What the function says.

        Raises:
            UserError: NaN, or not one number for each candidate.
        """
        out = self._function(self._obs, action)
        if not isinstance(out, Tensor) or out.shape != action.shape[:2]:
            shape = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
            raise UserError(
                f"term {self.name}: it gives {shape}, expected shape {tuple(action.shape[:2])}"
            )
        if torch.isnan(out).any():
            raise UserError(f"term {self.name}: it gives NaN for some actions")
        return out


def of_observation(value: str, obs: Obs) -> Float[Tensor, "B 1 1 D"]:
    """A place that an observation holds."""
    return latest(obs, value)[:, None, None]


def length(vector: Float[Tensor, "*B D"]) -> Float[Tensor, "*B"]:
    """The Euclidean length."""
    # Over a few numbers far apart in memory this is ten times quicker than vector_norm.
    return vector.square().sum(-1).sqrt()


def direction(vector: Float[Tensor, "*B D"]) -> Float[Tensor, "*B D"]:
    """The unit vector along ``vector``; zero if that is zero."""
    return vector / length(vector).clamp(min=TINY).unsqueeze(-1)
