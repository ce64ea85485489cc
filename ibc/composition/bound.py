"""Compositions with their observation bound: plain functions of actions, with the gradients of their terms."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ibc.constraints.base import BoundConstraint
from ibc.constraints.group import Together
from ibc.energies.base import EnergyFn, HasFeasible, action_gradient, low_precision
from ibc.energies.box import Box
from ibc.errors import UserError

#: Outside its box a learned energy is that of the nearest action inside, plus this times the squared distance in
#: half-ranges of the box: nothing was demonstrated there, so nothing may be found there.
WALL = 1e4


@dataclass(frozen=True)
class BoundTerm:
    """One term of a composition: ``weight * (energy / temperature + log_z)``, and its name for messages.

    ``log_z`` (B, 1) is its calibration; ``box``, if any, ends in a wall.
    """

    name: str
    fn: EnergyFn
    weight: float
    temperature: float
    log_z: Float[Tensor, "#B 1"] | None = None
    box: Box | None = None

    def energy(self, action: Float[Tensor, "B N A"]) -> Float[Tensor, "B N"]:
        """Tempered, calibrated, not yet weighted.

        Raises:
            UserError: the term gives NaN or another shape.
        """
        inside = action if self.box is None else self.box.clamp(action)
        energy = checked(self.name, self.fn(inside), action.shape[:2])
        energy = _times(1 / self.temperature, energy)
        if self.box is not None:
            energy = energy + WALL * self._outside(action).square().sum(-1)
        return energy if self.log_z is None else energy + self.log_z

    def gradient(self, action: Float[Tensor, "B N A"]) -> Float[Tensor, "B N A"]:
        """Of :meth:`energy`, by the term's own routine."""
        inside = action if self.box is None else self.box.clamp(action)
        gradient = action_gradient(self.fn, inside, create_graph=torch.is_grad_enabled())
        if gradient.shape != action.shape:  # NaN leads to energies that are NaN, and is found there
            raise UserError(
                f"term {self.name}: gradients have shape {tuple(gradient.shape)}, "
                f"expected {tuple(action.shape)}"
            )
        gradient = _times(1 / self.temperature, gradient)
        if self.box is None:
            return gradient
        wall = 2 * WALL * self._outside(action) / self.box.half_range.to(action)
        return torch.where(inside == action, gradient, wall)

    def parts(self, action: Float[Tensor, "B N A"]) -> dict[str, Tensor]:
        """The terms of this term, where it is a composition itself."""
        inner = self.fn.terms(action) if isinstance(self.fn, BoundComposition) else {}
        return {f"{self.name}/{name}": energy for name, energy in inner.items()}

    def low_precision(self) -> BoundTerm:
        """The same, cheaper where its energy can be."""
        cheap = low_precision(self.fn)
        return self if cheap is self.fn else replace(self, fn=cheap)

    def _outside(self, action: Float[Tensor, "B N A"]) -> Float[Tensor, "B N A"]:
        assert self.box is not None
        return (action - self.box.clamp(action)) / self.box.half_range.to(action)


def checked(name: str, out: Tensor, shape: Sequence[int]) -> Tensor:
    """Energies as they are.

    Raises:
        UserError: it has another shape, or NaN.
    """
    if tuple(out.shape) != tuple(shape):
        raise UserError(
            f"term {name}: energies have shape {tuple(out.shape)}, expected {tuple(shape)}"
        )
    if math.isnan(float(out.detach().sum())) and torch.isnan(out).any():  # a sum is quicker
        raise UserError(f"term {name}: energies are NaN for some actions")
    return out


def _times(weight: float, values: Tensor) -> Tensor:
    return values if weight == 1 else weight * values


class BoundComposition(ABC):
    """Terms, put together: an :class:`EnergyFn` with a gradient, a coarse version and an account of its terms."""

    def __init__(self, terms: Sequence[BoundTerm]) -> None:
        self.bound = list(terms)

    @abstractmethod
    def __call__(self, action: Float[Tensor, "B N A"], /) -> Float[Tensor, "B N"]:
        """The energy of each candidate."""

    @abstractmethod
    def action_gradient(self, action: Float[Tensor, "B N A"], /) -> Float[Tensor, "B N A"]:
        """See :class:`HasActionGradient`."""

    def terms(self, action: Float[Tensor, "B N A"]) -> dict[str, Float[Tensor, "B N"]]:
        """The energy of each term as it enters the composition; those of a nested one as ``outer/inner``."""
        found = {}
        for term in self.bound:
            found[term.name] = term.weight * term.energy(action)
            found |= term.parts(action)
        return found

    def low_precision(self) -> BoundComposition:
        """See :class:`HasLowPrecision`."""
        cheap = [term.low_precision() for term in self.bound]
        same = all(a is b for a, b in zip(cheap, self.bound, strict=True))
        return self if same else self._like(cheap)

    def _like(self, terms: Sequence[BoundTerm]) -> BoundComposition:
        return type(self)(terms)


class BoundAllOf(BoundComposition):
    """The weighted sum; constraints about the same points are evaluated together."""

    def __init__(self, terms: Sequence[BoundTerm]) -> None:
        super().__init__(terms)
        alone = [not isinstance(term.fn, BoundConstraint) for term in self.bound]
        self._alone = [term for term, is_alone in zip(self.bound, alone, strict=True) if is_alone]
        self._together = Together.groups(
            [
                (term.fn, term.weight / term.temperature)
                for term in self.bound
                if isinstance(term.fn, BoundConstraint)
            ]
        )

    def __call__(self, action: Float[Tensor, "B N A"], /) -> Float[Tensor, "B N"]:
        """See :class:`BoundComposition`."""
        parts = [_times(term.weight, term.energy(action)) for term in self._alone]
        parts += [
            checked(group.name, group.energy(action), action.shape[:2]) for group in self._together
        ]
        return sum(parts[1:], start=parts[0])

    def action_gradient(self, action: Float[Tensor, "B N A"], /) -> Float[Tensor, "B N A"]:
        """The weighted sum of the terms' own gradients."""
        parts = [_times(term.weight, term.gradient(action)) for term in self._alone]
        parts += [group.action_gradient(action) for group in self._together]
        return sum(parts[1:], start=parts[0])

    def feasible(self, action: Float[Tensor, "B N A"], /) -> Bool[Tensor, "B N"]:
        """Whether every term that knows allows it."""
        allowed = torch.ones(action.shape[:2], dtype=torch.bool, device=action.device)
        for group in self._together:
            allowed = allowed & group.feasible(action)
        for term in self._alone:
            if isinstance(term.fn, HasFeasible):
                allowed = allowed & term.fn.feasible(action)
        return allowed

    def violation(self, action: Float[Tensor, "B N A"], /) -> Float[Tensor, "B N"]:
        """The weighted sum of the terms' violations."""
        total = action.new_zeros(action.shape[:2])
        for term in self.bound:
            if isinstance(term.fn, HasFeasible):
                total = total + term.weight * term.fn.violation(action)
        return total


class BoundAnyOf(BoundComposition):
    """The mixture: ``-logsumexp(log w_i - e_i)``, with weights that sum to one."""

    def __call__(self, action: Float[Tensor, "B N A"], /) -> Float[Tensor, "B N"]:
        """See :class:`BoundComposition`."""
        return -torch.logsumexp(self._log_parts(action), 0)

    def action_gradient(self, action: Float[Tensor, "B N A"], /) -> Float[Tensor, "B N A"]:
        """The terms' own gradients, each by its share of the density there."""
        share = torch.softmax(self._log_parts(action), 0).unsqueeze(-1)
        gradients = torch.stack([term.gradient(action) for term in self.bound])
        return (share * gradients).sum(0)

    def terms(self, action: Float[Tensor, "B N A"]) -> dict[str, Float[Tensor, "B N"]]:
        """``e_i - log w_i``: the term that is lowest has the largest share."""
        found = {}
        for term, logit in zip(self.bound, self._log_parts(action), strict=True):
            found[term.name] = -logit
            found |= term.parts(action)
        return found

    def feasible(self, action: Float[Tensor, "B N A"], /) -> Bool[Tensor, "B N"]:
        """Whether some term allows it; one that does not know allows everything."""
        return self.violation(action) == 0

    def violation(self, action: Float[Tensor, "B N A"], /) -> Float[Tensor, "B N"]:
        """The least violation of any term."""
        fns = [term.fn for term in self.bound]
        known = [fn.violation(action) for fn in fns if isinstance(fn, HasFeasible)]
        if len(known) < len(fns):
            return action.new_zeros(action.shape[:2])
        return torch.stack(known).amin(0)

    def _log_parts(self, action: Float[Tensor, "B N A"]) -> Float[Tensor, "K B N"]:
        log = torch.tensor([term.weight for term in self.bound]).log().to(action)
        return log.view(-1, 1, 1) - torch.stack([term.energy(action) for term in self.bound])


class BoundNot(BoundComposition):
    """``strength * sigmoid(-e)`` of one calibrated term: between zero and ``strength``, whatever the term."""

    def __init__(self, terms: Sequence[BoundTerm], strength: float) -> None:
        super().__init__(terms)
        self.strength = strength

    def __call__(self, action: Float[Tensor, "B N A"], /) -> Float[Tensor, "B N"]:
        """See :class:`BoundComposition`."""
        return self.strength * torch.sigmoid(-self.bound[0].energy(action))

    def action_gradient(self, action: Float[Tensor, "B N A"], /) -> Float[Tensor, "B N A"]:
        """``-strength * s * (1 - s)`` times the term's own gradient."""
        s = torch.sigmoid(-self.bound[0].energy(action))
        return (-self.strength * s * (1 - s)).unsqueeze(-1) * self.bound[0].gradient(action)

    def _like(self, terms: Sequence[BoundTerm]) -> BoundComposition:
        return type(self)(terms, self.strength)
