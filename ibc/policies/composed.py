"""A trained policy that searches a composition instead of its own energy."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ibc.composition.bound import BoundComposition
from ibc.energies import Box, Energy
from ibc.errors import UserError
from ibc.nn import ActionBounds
from ibc.policies.base import Policy, Statistics
from ibc.policies.implicit import ImplicitPolicy
from ibc.policies.search import SearchProblem, SearchResult
from ibc.random import RandomSource
from ibc.samplers import Candidates
from ibc.spec import Obs


class ComposedPolicy(Policy):
    """``argmin_a`` of a composed energy, by the search of a trained policy, in the box of the composition.

    By their energies alone, constraints are preferences. With ``hard``, the action is the best *feasible* one among the
    candidates that the search started from and ended with; if none is feasible, it is the one of least violation, and
    ``report()["feasible"]`` is 0.

    Args:
        policy: whose search and unit cube are used.
        energy: to be minimized; ordinarily a composition that contains ``policy.energy``.
        hard: whether constraints take precedence over the energy.

    Raises:
        UserError: the energy is about actions of another size, or its box is empty.
    """

    def __init__(self, policy: ImplicitPolicy, energy: Energy, *, hard: bool = False) -> None:
        super().__init__(policy.spec)
        self.policy = policy
        self.energy = energy
        self.hard = hard
        self.bounds = search_bounds(policy.bounds, energy.limits())
        self._problem = SearchProblem(energy, self.bounds, keeps_init=hard)
        self._report: dict[str, Float[Tensor, " B"]] = {}

    def fit(self, dataset: Statistics) -> None:
        """Raises UserError: the terms are trained before."""
        raise UserError("a composition is not trained; train its terms")

    def search(self, obs: Obs, rng: RandomSource) -> SearchResult:
        """Return the candidates the search ends with; with ``hard``, those it started from as well."""
        return self.policy.search(obs, rng, self._problem)

    @torch.no_grad()
    def act_flat(self, obs: Obs, rng: RandomSource) -> Float[Tensor, "B A"]:
        """See :class:`Policy`."""
        found = self.search(obs, rng)
        bound = found.bound
        chosen = self._feasible(found).best().unsqueeze(1) if self.hard else found.lowest(1).action
        self._report = {}
        if bound.is_constrained:
            self._report["feasible"] = bound.feasible(chosen)[:, 0].float()
        if isinstance(bound, BoundComposition):
            self._report |= {name: e[:, 0] for name, e in bound.terms(chosen).items()}
        return chosen[:, 0]

    def _feasible(self, found: SearchResult) -> Candidates:
        if not found.bound.is_constrained:
            raise UserError("hard=true needs a constraint among the terms")
        feasible = found.bound.feasible(found.action)
        violation = torch.zeros_like(found.energy)
        if not feasible.any(1).all():
            violation = found.bound.violation(found.action)
        return first_feasible(found, feasible, violation)

    def report(self) -> dict[str, Float[Tensor, " B"]]:
        """Return whether each chosen action is ``feasible`` (0 or 1), and its energy by each term."""
        return self._report


def search_bounds(own: ActionBounds, box: Box | None) -> ActionBounds:
    """Return the policy's unit cube, which keeps the step sizes, with the box as search box.

    Raises:
        UserError: the box is about actions of another size, or is empty.
    """
    size = len(own.center)
    if box is None:
        return own
    if len(box.low) != size:
        raise UserError(f"the composition has actions of size {len(box.low)}, the policy of {size}")
    if box.is_empty:
        raise UserError("the terms of the composition have no action in common")
    bounds = ActionBounds(size).to(own.center)
    bounds.center.copy_(own.center)
    bounds.half_range.copy_(own.half_range)
    bounds.unit_low.copy_(own.to_unit(box.low))
    bounds.unit_high.copy_(own.to_unit(box.high))
    return bounds


def first_feasible(
    candidates: Candidates, feasible: Bool[Tensor, "B N"], violation: Float[Tensor, "B N"]
) -> Candidates:
    """Raise the energies of infeasible candidates, so that the best one is feasible if any is.

    If none is, the energies are the violations.
    """
    some = feasible.any(1, keepdim=True)
    allowed = candidates.energy.masked_fill(~feasible, torch.inf)
    return Candidates(candidates.action, torch.where(some, allowed, violation))
