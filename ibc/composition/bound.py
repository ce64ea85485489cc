"""Compositions with their observation bound, with the gradients of their terms."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ibc.energies.base import BoundEnergy
from ibc.energies.box import Box
from ibc.errors import UserError

#: Stiffness outside a term's box: the energy there is that of the nearest action inside, plus this times the squared
#: distance in half-ranges of the box. Nothing was demonstrated there, so no minimum may lie there.
BARRIER = 1e4


@dataclass(frozen=True)
class BoundTerm:
    """One term of a composition: ``weight * (energy / temperature + log_z)``.

    Attributes:
        name: for messages and reports.
        fn: the bound energy.
        weight, temperature: positive numbers.
        log_z: (B, 1), its calibration, if any.
        box: outside which the term is a steep quadratic barrier, if any.
    """

    name: str
    fn: BoundEnergy
    weight: float
    temperature: float
    log_z: Float[Tensor, "#B 1"] | None = None
    box: Box | None = None

    def energy(self, action: Float[Tensor, "B N A"]) -> Float[Tensor, "B N"]:
        """Compute the tempered and calibrated energy, not yet weighted.

        Raises:
            UserError: the term gives NaN or another shape.
        """
        inside = action if self.box is None else self.box.clamp(action)
        energy = _times(1 / self.temperature, self._checked(self.fn(inside), action.shape[:2]))
        if self.box is not None:
            energy = energy + BARRIER * self._outside(action).square().sum(-1)
        return energy if self.log_z is None else energy + self.log_z

    def gradient(self, action: Float[Tensor, "B N A"]) -> Float[Tensor, "B N A"]:
        """Compute the gradient of :meth:`energy` by the term's own method."""
        inside = action if self.box is None else self.box.clamp(action)
        gradient = self.fn.action_gradient(inside)
        if gradient.shape != action.shape:  # NaN leads to energies that are NaN, and is found there
            raise UserError(
                f"term {self.name}: gradients have shape {tuple(gradient.shape)}, "
                f"expected {tuple(action.shape)}"
            )
        gradient = _times(1 / self.temperature, gradient)
        if self.box is None:
            return gradient
        barrier = 2 * BARRIER * self._outside(action) / self.box.half_range.to(action)
        return torch.where(inside == action, gradient, barrier)

    def inner_terms(self, action: Float[Tensor, "B N A"]) -> dict[str, Tensor]:
        """Compute the energies of the terms of this term, if it is a composition."""
        inner = self.fn.terms(action) if isinstance(self.fn, BoundComposition) else {}
        return {f"{self.name}/{name}": energy for name, energy in inner.items()}

    def low_precision(self) -> BoundTerm:
        """Return the term with its energy in low precision; itself if there is none."""
        cheap = self.fn.low_precision()
        return self if cheap is self.fn else replace(self, fn=cheap)

    @property
    def scale(self) -> float:
        """The factor of the energy in a sum."""
        return self.weight / self.temperature

    def merged(self, other: BoundTerm) -> BoundTerm | None:
        """Return the sum of two terms as one that shares their computation; None if there is nothing to share."""
        fn = self.fn.merged(self.scale, other.fn, other.scale)
        return None if fn is None else BoundTerm(f"{self.name}, {other.name}", fn, 1.0, 1.0)

    def _outside(self, action: Float[Tensor, "B N A"]) -> Float[Tensor, "B N A"]:
        assert self.box is not None
        return (action - self.box.clamp(action)) / self.box.half_range.to(action)

    def _checked(self, out: Tensor, shape: Sequence[int]) -> Tensor:
        if tuple(out.shape) != tuple(shape):
            raise UserError(
                f"term {self.name}: energies have shape {tuple(out.shape)}, expected {tuple(shape)}"
            )
        # A sum is quicker than to test every number. A CUDA graph in the making cannot wait for it.
        is_recorded = out.is_cuda and torch.cuda.is_current_stream_capturing()
        if not is_recorded and math.isnan(float(out.detach().sum())) and torch.isnan(out).any():
            raise UserError(f"term {self.name}: energies are NaN for some actions")
        return out


def _times(weight: float, values: Tensor) -> Tensor:
    return values if weight == 1 else weight * values


class BoundComposition(BoundEnergy):
    """Several bound terms as one energy."""

    def __init__(self, terms: Sequence[BoundTerm]) -> None:
        self.bound = list(terms)
        self.is_constrained = any(term.fn.is_constrained for term in self.bound)

    @abstractmethod
    def action_gradient(self, action: Float[Tensor, "B N A"], /) -> Float[Tensor, "B N A"]:
        """See :class:`BoundEnergy`; made of the terms' own gradients."""

    def terms(self, action: Float[Tensor, "B N A"]) -> dict[str, Float[Tensor, "B N"]]:
        """Compute the energy of each term as it enters the composition; those of a nested one as ``outer/inner``."""
        energies = {}
        for term in self.bound:
            energies[term.name] = term.weight * term.energy(action)
            energies |= term.inner_terms(action)
        return energies

    def low_precision(self) -> BoundComposition:
        cheap = [term.low_precision() for term in self.bound]
        same = all(a is b for a, b in zip(cheap, self.bound, strict=True))
        return self if same else self._like(cheap)

    def action_sizes(self) -> list[tuple[str, int]]:
        return [found for term in self.bound for found in term.fn.action_sizes()]

    def along_motion(self) -> BoundComposition:
        return self._like([replace(term, fn=term.fn.along_motion()) for term in self.bound])

    def brake(self, length: int) -> Float[Tensor, "B A"] | None:
        found = (term.fn.brake(length) for term in self.bound)
        return next((action for action in found if action is not None), None)

    def _like(self, terms: Sequence[BoundTerm]) -> BoundComposition:
        return type(self)(terms)


class BoundAllOf(BoundComposition):
    """The weighted sum; terms that share computation are merged."""

    def __init__(self, terms: Sequence[BoundTerm]) -> None:
        super().__init__(terms)
        self._merged: list[BoundTerm] = []
        for term in self.bound:
            for i, group in enumerate(self._merged):
                merged = group.merged(term)
                if merged is not None:
                    self._merged[i] = merged
                    break
            else:
                self._merged.append(term)

    def __call__(self, action: Float[Tensor, "B N A"], /) -> Float[Tensor, "B N"]:
        return reduce(add, [_times(term.weight, term.energy(action)) for term in self._merged])

    def action_gradient(self, action: Float[Tensor, "B N A"], /) -> Float[Tensor, "B N A"]:
        """Compute the weighted sum of the terms' gradients."""
        return reduce(add, [_times(term.weight, term.gradient(action)) for term in self._merged])

    def feasible(self, action: Float[Tensor, "B N A"], /) -> Bool[Tensor, "B N"]:
        """Test whether every term is feasible."""
        return torch.stack([term.fn.feasible(action) for term in self._merged]).all(0)

    def violation(self, action: Float[Tensor, "B N A"], /) -> Float[Tensor, "B N"]:
        """Compute the weighted sum of the terms' violations."""
        return reduce(add, [term.scale * term.fn.violation(action) for term in self._merged])


class BoundAnyOf(BoundComposition):
    """The mixture: ``-logsumexp(log w_i - e_i)``, with weights that sum to one."""

    def __call__(self, action: Float[Tensor, "B N A"], /) -> Float[Tensor, "B N"]:
        return -torch.logsumexp(self._log_parts(action), 0)

    def action_gradient(self, action: Float[Tensor, "B N A"], /) -> Float[Tensor, "B N A"]:
        """Compute the mean of the terms' gradients, each weighted by its share of the density."""
        share = torch.softmax(self._log_parts(action), 0).unsqueeze(-1)
        gradients = torch.stack([term.gradient(action) for term in self.bound])
        return (share * gradients).sum(0)

    def terms(self, action: Float[Tensor, "B N A"]) -> dict[str, Float[Tensor, "B N"]]:
        """Compute ``e_i - log w_i``; the term that is lowest has the largest share."""
        energies = {}
        for term, logit in zip(self.bound, self._log_parts(action), strict=True):
            energies[term.name] = -logit
            energies |= term.inner_terms(action)
        return energies

    def feasible(self, action: Float[Tensor, "B N A"], /) -> Bool[Tensor, "B N"]:
        """Test whether some term is feasible; terms without constraints are everywhere."""
        return torch.stack([term.fn.feasible(action) for term in self.bound]).any(0)

    def violation(self, action: Float[Tensor, "B N A"], /) -> Float[Tensor, "B N"]:
        """Compute the least violation of any term."""
        return torch.stack([term.fn.violation(action) for term in self.bound]).amin(0)

    def _log_parts(self, action: Float[Tensor, "B N A"]) -> Float[Tensor, "K B N"]:
        log = torch.tensor([term.weight for term in self.bound]).log().to(action)
        return log.view(-1, 1, 1) - torch.stack([term.energy(action) for term in self.bound])


class BoundNot(BoundComposition):
    """``strength * sigmoid(-e)`` of one calibrated term: between zero and ``strength``, whatever the term."""

    def __init__(self, terms: Sequence[BoundTerm], strength: float) -> None:
        super().__init__(terms)
        self.strength = strength
        self.is_constrained = False

    def __call__(self, action: Float[Tensor, "B N A"], /) -> Float[Tensor, "B N"]:
        return self.strength * torch.sigmoid(-self.bound[0].energy(action))

    def action_gradient(self, action: Float[Tensor, "B N A"], /) -> Float[Tensor, "B N A"]:
        """Compute ``-strength * s * (1 - s)`` times the term's gradient, s being the sigmoid."""
        s = torch.sigmoid(-self.bound[0].energy(action))
        return (-self.strength * s * (1 - s)).unsqueeze(-1) * self.bound[0].gradient(action)

    def _like(self, terms: Sequence[BoundTerm]) -> BoundComposition:
        return type(self)(terms, self.strength)
