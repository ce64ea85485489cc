"""A trained policy that searches a composition instead of its own energy, without being trained again."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ibc.composition.bound import BoundComposition
from ibc.energies import Box, Energy, EnergyFn, HasFeasible
from ibc.errors import UserError
from ibc.nn import ActionBounds
from ibc.policies.base import Policy, Statistics
from ibc.policies.implicit import ImplicitPolicy
from ibc.random import RandomSource
from ibc.samplers import Candidates
from ibc.samplers.base import score
from ibc.spec import Obs


class ComposedPolicy(Policy):
    """``argmin_a`` of a composed energy, by the sampler of a trained policy, in the box of the composition.

    Energies only prefer. With ``hard``, the choice is the best *feasible* action among all that the search started
    from and ended with; where none of them is feasible, it is the one that violates the constraints least, and
    ``report()["feasible"]`` is 0.

    Args:
        policy: whose sampler and unit cube are used.
        energy: what is searched; ordinarily a composition that contains ``policy.energy``.
        hard: whether constraints come before everything else.

    Raises:
        UserError: the energy is about actions of another size, or its box is empty.
    """

    def __init__(self, policy: ImplicitPolicy, energy: Energy, *, hard: bool = False) -> None:
        super().__init__(policy.spec)
        self.policy = policy
        self.energy = energy
        self.hard = hard
        self.bounds = search_bounds(policy.bounds, energy.limits())
        self._report: dict[str, Float[Tensor, " B"]] = {}

    def fit(self, dataset: Statistics) -> None:
        """Raises UserError: a composition is made of what has been trained."""
        raise UserError("a composition is not trained; train its terms")

    @torch.no_grad()
    def search(self, obs: Obs, rng: RandomSource) -> Candidates:
        """All candidates the sampler ends with; with ``hard``, those the search started from as well."""
        return self._search(self.energy.bind(obs), obs, rng)

    def _search(self, energy: EnergyFn, obs: Obs, rng: RandomSource) -> Candidates:
        guide = self.policy.energy.bind(obs) if self.policy.guided else None
        batch = len(next(iter(obs.values())))
        init = self.policy.start(guide, batch, self.bounds, rng)
        found = self.policy.sampler(energy, init, self.bounds, rng)
        if not self.hard:
            return found
        wide = score(energy, init)
        return Candidates(
            torch.cat([found.action, wide.action], 1), torch.cat([found.energy, wide.energy], 1)
        )

    @torch.no_grad()
    def act_flat(self, obs: Obs, rng: RandomSource) -> Float[Tensor, "B A"]:
        """See :class:`Policy`."""
        energy = self.energy.bind(obs)
        candidates = self._search(energy, obs, rng)
        self._report = {}
        if self.hard:
            if not isinstance(energy, HasFeasible):
                raise UserError("hard=true needs a constraint among the terms")
            feasible = energy.feasible(candidates.action)
            if feasible.any(1).all():
                violation = torch.zeros_like(candidates.energy)  # nobody will look at it
            else:
                violation = energy.violation(candidates.action)
            candidates = first_feasible(candidates, feasible, violation)
            best = candidates.energy.topk(1, dim=1, largest=False).indices  # as lowest() chooses
            self._report["feasible"] = feasible.gather(1, best)[:, 0].float()
        chosen = candidates.lowest(1).action
        if isinstance(energy, HasFeasible) and not self.hard:
            self._report["feasible"] = energy.feasible(chosen)[:, 0].float()
        if isinstance(energy, BoundComposition):
            self._report |= {name: e[:, 0] for name, e in energy.terms(chosen).items()}
        return chosen[:, 0]

    def report(self) -> dict[str, Float[Tensor, " B"]]:
        """Whether each chosen action is ``feasible`` (0 or 1), and its energy by each term."""
        return self._report


def search_bounds(own: ActionBounds, box: Box | None) -> ActionBounds:
    """The policy's unit cube, in which steps keep their size, with the box that is to be searched.

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
    """The candidates with the energies of infeasible ones raised so that the best is feasible if any is.

    Where none is, only the least violation counts.
    """
    some = feasible.any(1, keepdim=True)
    allowed = candidates.energy.masked_fill(~feasible, torch.inf)
    return Candidates(candidates.action, torch.where(some, allowed, violation))
