"""Compose energies: all of them, any of them, all but one.

Every composition is an :class:`Energy`, so compositions nest. The algebra is that of densities ``exp(-E)`` (Du, Li and
Mordatch 2020, "Compositional visual generation with energy based models"): a product, a sum, and a bounded complement.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

import torch
from torch import nn

from ibc.composition.bound import (
    BoundAllOf,
    BoundAnyOf,
    BoundComposition,
    BoundNot,
    BoundTerm,
)
from ibc.energies.base import Energy, as_bound
from ibc.energies.box import Box
from ibc.errors import UserError
from ibc.spec import Obs

#: Candidates by which a term is calibrated. Enough for modes of a twentieth of the box in two dimensions; in many
#: dimensions the candidate nearest to a mode dominates the estimate, and shares are approximate.
NUM_CALIBRATION = 4096

#: The calibration of a hand-written energy in Not: inside its feasible set, 95 % of the strength.
HAND_WRITTEN_LOG_Z = -3.0


class _Composition(Energy):
    """Named terms with a weight and a temperature each."""

    def __init__(
        self,
        *energies: Energy,
        weights: Sequence[float] | None = None,
        temperatures: Sequence[float] | None = None,
        names: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        what = type(self).__name__
        if not energies:
            raise UserError(f"{what} has no terms")
        for i, energy in enumerate(energies):
            if not isinstance(energy, Energy):
                raise UserError(
                    f"{what}: term {i + 1} is a {type(energy).__name__}, not an Energy; "
                    "a function of (obs, action) goes into Custom(function)"
                )
        self.names = _names(energies, names, what)
        self.energies = nn.ModuleList(energies)
        self.weights = _positive(weights, self.names, what, "weight")
        self.temperatures = _positive(temperatures, self.names, what, "temperature")
        sizes = {name: len(box.low) for name, box in self._boxes()}
        if len(set(sizes.values())) > 1:
            raise UserError(f"{what}: terms have actions of different sizes: {sizes}")
        self._check()

    def _check(self) -> None:
        """Refuse terms that do not fit together."""

    def _named(self) -> list[tuple[str, Energy]]:
        return [
            (n, e) for n, e in zip(self.names, self.energies, strict=True) if isinstance(e, Energy)
        ]

    def _boxes(self) -> list[tuple[str, Box]]:
        """Return the boxes of the terms that have one."""
        return [(n, box) for n, energy in self._named() if (box := energy.limits()) is not None]

    def _bind(self, obs: Obs) -> list[BoundTerm]:
        terms = []
        for i, (name, energy) in enumerate(self._named()):
            try:
                fn = energy.inside(obs) if isinstance(energy, Not) else as_bound(energy.bind(obs))
            except KeyError as error:
                raise UserError(
                    f"term {name} needs observation {error}; there are {', '.join(obs)}"
                ) from error
            terms.append(BoundTerm(name, fn, self.weights[i], self.temperatures[i]))
        return terms


class AllOf(_Composition):
    """``sum_i weight_i * E_i / temperature_i``: low where every term is low.

    The search box is the intersection of the terms' boxes.

    Args:
        energies: the terms; learned, hand-written or compositions.
        weights: one per term; 1 if None.
        temperatures: one per term, by which its energy is divided; 1 if None.
        names: one per term, for messages and :meth:`BoundComposition.terms`; the names of the classes if None.

    Raises:
        UserError: no terms, nothing but Not, or boxes without a common action.
    """

    def _check(self) -> None:
        if all(isinstance(energy, Not) for energy in self.energies):
            raise UserError(f"AllOf has nothing but Not ({', '.join(self.names)}): add what to do")
        self.limits()

    def limits(self) -> Box | None:
        """Intersect the terms' boxes.

        Raises:
            UserError: the intersection is empty.
        """
        box: Box | None = None
        before: list[str] = []
        for name, own in self._boxes():
            box = own if box is None else box.intersection(own)
            if box.is_empty:
                raise UserError(
                    f"AllOf: the bounds of term {name} have no action in common with those of "
                    f"{', '.join(before)}"
                )
            before.append(name)
        return box

    def bind(self, obs: Obs) -> BoundAllOf:
        return BoundAllOf(self._bind(obs))


class AnyOf(_Composition):
    """``-log sum_i weight_i * exp(-(E_i / temperature_i + log Z_i))``: low where some term is low.

    A learned energy is known up to a constant that may differ between observations. So each term with a box is
    calibrated when it is bound, by ``log Z_i``, the log-mean of ``exp(-E_i / temperature_i)`` over the same candidates
    for all terms, spread evenly over the smallest box around the terms' boxes. Then ``weights``, scaled to sum to one,
    are the shares of the terms. Outside its own box a term has high energy. Hand-written terms have no box and are not
    calibrated.

    Args:
        energies, weights, temperatures, names: as in :class:`AllOf`.

    Raises:
        UserError: no terms, or a Not among them.
    """

    def _check(self) -> None:
        for name, energy in self._named():
            if isinstance(energy, Not):
                raise UserError(f"AnyOf: {name} says where not to go; put it into AllOf")
        total = sum(self.weights)
        self.weights = [weight / total for weight in self.weights]

    def limits(self) -> Box | None:
        """Return the smallest box around the terms' boxes."""
        boxes = [box for _, box in self._boxes()]
        return reduce(Box.hull, boxes) if boxes else None

    def bind(self, obs: Obs) -> BoundAnyOf:
        """See :class:`Energy`; the terms are calibrated here."""
        hull = self.limits()
        boxes = [energy.limits() for _, energy in self._named()]
        terms = zip(self._bind(obs), boxes, strict=True)
        return BoundAnyOf([_calibrated(term, box, hull, obs) for term, box in terms])


class Not(Energy):
    """``strength * p / (1 + p)`` with ``p = exp(-(E + log Z))``: high where another energy is low, zero elsewhere.

    ``p`` is the other's density relative to the uniform density. Unlike ``-E`` it is bounded below, so that no minimum
    lies where the other energy was never trained. Only meaningful inside :class:`AllOf`.
    """

    def __init__(self, energy: Energy, *, strength: float = 10.0) -> None:
        super().__init__()
        if not isinstance(energy, Energy) or isinstance(energy, Not):
            raise UserError(f"Not needs another energy, got a {type(energy).__name__}")
        self.energy = energy
        (self.strength,) = _positive([strength], [type(energy).__name__], "Not", "strength")

    def bind(self, obs: Obs) -> BoundComposition:
        """Raises UserError: alone, it has no good actions."""
        raise UserError(
            f"Not({type(self.energy).__name__}) says where not to go and nothing else; put it into AllOf"
        )

    def inside(self, obs: Obs) -> BoundNot:
        """Bind the energy as a term of :class:`AllOf`."""
        term = BoundTerm(type(self.energy).__name__, as_bound(self.energy.bind(obs)), 1.0, 1.0)
        box = self.energy.limits()
        return BoundNot([_calibrated(term, box, box, obs, HAND_WRITTEN_LOG_Z)], self.strength)


@torch.no_grad()
def _calibrated(
    term: BoundTerm, box: Box | None, hull: Box | None, obs: Obs, otherwise: float = 0.0
) -> BoundTerm:
    example = next(iter(obs.values()))
    if box is None or hull is None:
        return replace(term, log_z=torch.full((1, 1), otherwise).to(example.device))
    term = replace(term, box=box)
    energy = term.energy(hull.spread(NUM_CALIBRATION).expand(len(example), -1, -1))
    log_z = torch.logsumexp(-energy, 1, keepdim=True) - math.log(NUM_CALIBRATION)
    return replace(term, log_z=log_z)


def _names(energies: Sequence[Energy], given: Sequence[str] | None, what: str) -> list[str]:
    if given is not None:
        if len(given) != len(energies) or len(set(given)) != len(given):
            raise UserError(
                f"{what}: {len(energies)} terms need as many different names, got {given}"
            )
        return list(given)
    names: list[str] = []
    for energy in energies:
        kind = type(energy).__name__
        before = sum(name == kind or name.startswith(f"{kind}_") for name in names)
        names.append(kind if not before else f"{kind}_{before + 1}")
    return names


def _positive(
    given: Sequence[float] | None, names: Sequence[str], what: str, kind: str
) -> list[float]:
    numbers = [1.0] * len(names) if given is None else [float(x) for x in given]
    if len(numbers) != len(names):
        raise UserError(f"{what}: {len(names)} terms but {len(numbers)} {kind}s")
    for name, number in zip(names, numbers, strict=True):
        if not (number > 0 and math.isfinite(number)):
            raise UserError(f"{what}: the {kind} of term {name} is {number}; it must be positive")
    return numbers
