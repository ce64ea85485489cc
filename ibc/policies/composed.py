"""A trained policy that searches a composition instead of its own energy."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ibc.composition.bound import BoundComposition
from ibc.energies import BoundEnergy, Box, Energy
from ibc.errors import UserError
from ibc.nn import ActionBounds
from ibc.policies.base import Policy, Statistics
from ibc.policies.implicit import ImplicitPolicy
from ibc.policies.search import SearchProblem, SearchResult
from ibc.random import RandomSource
from ibc.samplers import Candidates
from ibc.spec import COMMITTED_ACTIONS, PREVIOUS_ACTION, Obs

#: What a hard composition does where no candidate is feasible.
FALLBACKS = ("least_violation", "brake", "hold")
#: Candidates of lowest energy that are checked along their motion before all others are.
LIKELY = 64


class ComposedPolicy(Policy):
    """``argmin_a`` of a composed energy, by the search of a trained policy, in the box of the composition.

    By their energies alone, constraints are preferences. With ``hard``, the action is the best *feasible* one among the
    candidates that the search started from and ended with. Feasible is an action whose whole predicted motion satisfies
    the constraints, between two control steps as well. If no candidate is feasible, ``report()["fallback"]`` is 1 and
    ``fallback`` decides; ``report()["feasible"]`` is about the action that is taken.

    Args:
        policy: whose search and unit cube are used.
        energy: to be minimized; ordinarily a composition that contains ``policy.energy``.
        hard: whether constraints take precedence over the energy.
        fallback: ``least_violation``, the candidate that violates the constraints least; ``brake``, the action by which
            the body stays nearest to its present position, by the model of the first constraint that is about places;
            ``hold``, the previous action again, and at the first decision of an episode the least violation. The last
            two are limited to what the environment accepts, and not to the range of the data.

    Raises:
        UserError: the energy is about actions of another size, its box is empty, or there is no such fallback.
    """

    def __init__(
        self,
        policy: ImplicitPolicy,
        energy: Energy,
        *,
        hard: bool = False,
        fallback: str = "least_violation",
    ) -> None:
        super().__init__(policy.spec)
        if fallback not in FALLBACKS:
            raise UserError(f"fallback={fallback}; allowed: {', '.join(FALLBACKS)}")
        self.policy = policy
        self.energy = energy
        self.hard = hard
        self.fallback = fallback
        self.bounds = search_bounds(policy.bounds, energy.limits())
        self._problem = SearchProblem(energy, self.bounds, keeps_init=hard)
        self._report: dict[str, Float[Tensor, " B"]] = {}

    def fit(self, dataset: Statistics) -> None:
        """Raises UserError: the terms are trained before."""
        raise UserError("a composition is not trained; train its terms")

    def search(self, obs: Obs, rng: RandomSource) -> SearchResult:
        """Return the candidates the search ends with; with ``hard``, those it started from as well.

        Raises:
            UserError: a constraint is about actions of another size than the policy's.
        """
        found = self.policy.search(obs, rng, self._problem)
        for name, size in found.bound.action_sizes():
            if size != self.spec.action_dim:
                raise UserError(
                    f"term {name} is about actions of {size} numbers; the policy's have {self.spec.action_dim}"
                )
        return found

    @torch.no_grad()
    def act_flat(self, obs: Obs, rng: RandomSource) -> Float[Tensor, "B A"]:
        """See :class:`Policy`.

        Raises:
            UserError: ``hard`` without a constraint, or a fallback for which something is missing.
        """
        chosen, self._report = self._choose(self.search(obs, rng), obs)
        return chosen

    @torch.no_grad()
    def choose_again(
        self, searches: Sequence[SearchResult], obs: Obs, rows: Sequence[int]
    ) -> Float[Tensor, "R A"]:
        """Choose anew in some rows of the latest decisions, whose report is replaced.

        Args:
            searches: from the observations of these rows; their candidates are taken together.
            obs: of these rows.
            rows: R of the decisions.
        """
        action = torch.cat([found.action for found in searches], 1)
        energy = torch.cat([found.energy for found in searches], 1)
        chosen, report = self._choose(SearchResult(action, energy, searches[-1].bound), obs)
        index = torch.tensor(rows, device=action.device)
        self._report = {
            name: values.index_copy(0, index, report[name]) for name, values in self._report.items()
        }
        return chosen

    def _choose(
        self, found: SearchResult, obs: Obs
    ) -> tuple[Float[Tensor, "B A"], dict[str, Float[Tensor, " B"]]]:
        """Return the action among candidates, by feasibility and fallback, and what there is to report of it."""
        bound = found.bound
        reported = {}
        if self.hard:
            chosen, is_feasible = self._feasible(found)
            if self.fallback != "least_violation":
                other = self._fallback(bound, obs, chosen)
                chosen = torch.where(is_feasible.unsqueeze(1), chosen, other)
            reported["fallback"] = (~is_feasible).float()
            chosen = chosen.unsqueeze(1)
        else:
            chosen = found.lowest(1).action
        if bound.is_constrained:
            checked = bound.along_motion() if self.hard else bound
            reported["feasible"] = checked.feasible(chosen)[:, 0].float()
        if isinstance(bound, BoundComposition):
            reported |= {name: e[:, 0] for name, e in bound.terms(chosen).items()}
        return chosen[:, 0], reported

    def _feasible(self, found: SearchResult) -> tuple[Float[Tensor, "B A"], Bool[Tensor, " B"]]:
        """Return the best feasible candidate, or that of least violation, and whether it is feasible.

        What is feasible along the motion is so at its points, which are quicker to evaluate.
        """
        if not found.bound.is_constrained:
            raise UserError("hard=true needs a constraint among the terms")
        at_points = found.bound.feasible(found.action)
        energy = found.energy.masked_fill(~at_points, torch.inf)
        likely = Candidates(found.action, energy).lowest(LIKELY)
        bound = found.bound.along_motion()
        feasible = bound.feasible(likely.action)
        if feasible.any(1).all():
            return first_feasible(likely, feasible, likely.energy).best(), feasible.any(1)
        violation = bound.violation(found.action)
        feasible = bound.feasible(found.action)
        return first_feasible(found, feasible, violation).best(), feasible.any(1)

    def _fallback(
        self, bound: BoundEnergy, obs: Obs, like: Float[Tensor, "B A"]
    ) -> Float[Tensor, "B A"]:
        """Return the action where no candidate is feasible; numbers that are not known are those of ``like``."""
        if self.fallback == "brake":
            action = bound.brake(like.shape[1])
            if action is None:
                raise UserError("fallback=brake needs a constraint on places, such as KeepOutDisk")
        elif PREVIOUS_ACTION in obs:
            action = obs[PREVIOUS_ACTION][:, -1].repeat(1, self.spec.action_horizon)
        else:
            raise UserError(
                f"fallback=hold needs the observation '{PREVIOUS_ACTION}', which a controller adds"
            )
        low, high = (
            like.new_tensor(limit).repeat(self.spec.action_horizon)
            for limit in (self.spec.action_low, self.spec.action_high)
        )
        action = torch.where(action.isnan(), like, action.to(like).clamp(low, high))
        committed = obs.get(COMMITTED_ACTIONS)
        if committed is None:
            return action
        return torch.where(committed.flatten(1).isnan(), action, committed.flatten(1))

    def report(self) -> dict[str, Float[Tensor, " B"]]:
        """Return whether each action is ``feasible``, whether it is the ``fallback`` (0 or 1), and its energies.

        With ``hard``, feasible is said of the whole motion, otherwise of the predicted points.
        """
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
