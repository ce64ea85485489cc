"""The implicit policy: search for the action of lowest energy."""

from __future__ import annotations

import math
from collections.abc import Hashable
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from ibc.energies import BoundEnergy, HeldSpace, MLPEnergy, NetworkEnergy, UnitSpace, as_bound
from ibc.errors import UserError
from ibc.nn import ActionBounds
from ibc.policies.base import Policy, Statistics, fit_statistics
from ibc.policies.captured import CapturedSearch, settings_of
from ibc.policies.default_sampler import default_sampler
from ibc.policies.search import SearchProblem, SearchResult
from ibc.random import RandomSource
from ibc.samplers import Candidates, Sampler, score
from ibc.spec import COMMITTED_ACTIONS, PREVIOUS_ACTION, PREVIOUS_CHUNK, Obs, Spec

#: Standard deviation of initial candidates around the previous action, in the unit cube.
WARM_STD = 0.05
#: The same around the proposal of the default energy.
DEFAULT_STD = 0.5


class ImplicitPolicy(Policy):
    """``argmin_a E(o, a)``, found by a sampler (IBC paper, equation 1).

    ``sampler`` is an ordinary attribute and can be exchanged on a trained policy.

    Args:
        spec: what the policy sees and does.
        energy: if None, that of the default recipe, a :class:`MLPEnergy` with a proposal, and its ``init_std``, 0.5.
        sampler: the one that suits the energy if None.
        init_std: None draws the first candidates uniformly; a number puts the first one at the energy's proposal and
            the others around it, at this standard deviation in the unit cube. An energy with a proposal density gives
            the first candidates itself.
        warm_start_fraction: the share of candidates that start at the last action of the previous decision and around
            it, if there was one. For searches with few candidates and steps.
    """

    def __init__(
        self,
        spec: Spec,
        energy: NetworkEnergy | None = None,
        sampler: Sampler | None = None,
        *,
        init_std: float | None = None,
        warm_start_fraction: float = 0.0,
    ) -> None:
        super().__init__(spec)
        if energy is None:
            energy = MLPEnergy(proposal=True, relative=False, balanced=True)
            init_std = DEFAULT_STD if init_std is None else init_std
        self.energy = energy
        self.energy.build(spec)
        self.sampler = default_sampler(self.energy) if sampler is None else sampler
        self.init_std = init_std
        self.warm_start_fraction = warm_start_fraction
        self._captured = CapturedSearch()
        if init_std is not None and getattr(self.energy, "proposal", None) is None:
            raise UserError(
                "policy.init_std needs policy.energy.proposal=true: an energy that predicts where to start"
            )

    @property
    def warm_start_fraction(self) -> float:
        """The share of candidates that start at the previous action."""
        return self._warm_start

    @warm_start_fraction.setter
    def warm_start_fraction(self, share: float) -> None:
        if not 0 <= share <= 1:
            raise UserError(f"warm_start_fraction={share}; allowed: a share, 0 to 1")
        self._warm_start = share

    @property
    def bounds(self) -> ActionBounds:
        """The energy's own map to the unit cube."""
        return self.energy.bounds

    def fit(self, dataset: Statistics) -> None:
        """See :class:`Policy`."""
        fit_statistics(self.spec, dataset, self.energy.encoder, self.bounds)
        self.energy.fit_actions(self.bounds.to_unit(dataset.actions()))

    def predict_unit(self, obs: Obs) -> Float[Tensor, "B A"]:
        """Return the energy's proposal, in the unit cube.

        Raises:
            UserError: it has none.
        """
        proposal = as_bound(self.energy.bind(obs)).proposal
        if proposal is None:
            raise UserError(
                "this energy has no proposal, and so not a direct prediction; choose policy.energy.proposal=true"
            )
        return proposal.squeeze(1)

    @torch.no_grad()
    def search(
        self, obs: Obs, rng: RandomSource, problem: SearchProblem | None = None
    ) -> SearchResult:
        """Search for actions of low energy; on a GPU, a recorded search is replayed where that is possible.

        Actions that the observation ``committed_actions`` gives are held, and the others conditioned on them.

        Args:
            obs: ``{name: (B, To, ...)}``.
            rng: of the initial candidates and of the sampler.
            problem: the policy's own energy in its own bounds if None.
        """
        problem = SearchProblem(self.energy, self.bounds) if problem is None else problem
        if not self.bounds.center.is_cuda:
            return self._search(problem, obs, rng)
        return self._captured(partial(self._search, problem), obs, rng, self._kind(problem))

    def _kind(self, problem: SearchProblem) -> Hashable:
        """Everything by which searches differ, but for their observations; what functions capture is not seen."""
        # _version counts changes in place: a recording is not used with other weights.
        modules = (self, problem.energy)
        weights = sum(p._version for module in modules for p in module.parameters())
        numbers = repr(self.sampler.arguments()), settings_of(problem.energy, without=self.energy)
        kind = (problem, self.sampler, self.init_std, self.warm_start_fraction, self.training)
        return (*kind, weights, numbers)

    def _search(self, problem: SearchProblem, obs: Obs, rng: RandomSource) -> SearchResult:
        bound = as_bound(problem.energy.bind(obs))
        space = UnitSpace(bound, problem.bounds)
        if PREVIOUS_CHUNK in obs:
            space.plan = problem.bounds.to_unit(obs[PREVIOUS_CHUNK].flatten(1).unsqueeze(1))
        committed = obs.get(COMMITTED_ACTIONS)
        if committed is not None:
            committed = committed.flatten(1).unsqueeze(1)
            space = HeldSpace(space, problem.bounds.to_unit(committed))
        own = bound
        if problem.energy is not self.energy and self._starts_from_energy:
            own = as_bound(self.energy.bind(obs))
        init = self._init(own, space, len(next(iter(obs.values()))), rng)
        init = self._warm_started(init, obs, space, rng)
        found = self.sampler(space, init, rng)
        if problem.keeps_init:
            scored = score(space, init)
            found = Candidates(
                torch.cat([found.action, scored.action], 1),
                torch.cat([found.energy, scored.energy], 1),
            )
        action = problem.bounds.from_unit(found.action)
        if committed is not None:  # without the rounding of the way to the unit cube and back
            action = torch.where(torch.isnan(committed), action, committed)
        return SearchResult(action, found.energy, bound)

    @property
    def _starts_from_energy(self) -> bool:
        """Whether the energy gives the initial candidates."""
        return self.init_std is not None or getattr(self.energy, "density", None) is not None

    def _init(
        self, own: BoundEnergy, space: UnitSpace, batch: int, rng: RandomSource
    ) -> Float[Tensor, "B N A"]:
        """Draw the initial candidates, given the policy's own energy."""
        count = self.sampler.num_candidates
        if self._starts_from_energy and own.density is not None:
            return space.clamp(own.density.sample(count, rng))
        if self.init_std is None or own.proposal is None:
            return space.uniform(batch, count, rng)
        shift = self.init_std * rng.normal(batch, count, self.spec.action_size)
        shift[:, 0] = 0.0
        return space.clamp(own.proposal + shift)

    def _warm_started(
        self, init: Float[Tensor, "B N A"], obs: Obs, space: UnitSpace, rng: RandomSource
    ) -> Float[Tensor, "B N A"]:
        """Move the first candidates to the plan so far or the previous action, and around it, where it is not NaN."""
        count = math.ceil(self.warm_start_fraction * init.shape[1])
        if PREVIOUS_CHUNK in obs:
            count, chunk = max(1, count), obs[PREVIOUS_CHUNK]
        elif count and PREVIOUS_ACTION in obs:
            chunk = obs[PREVIOUS_ACTION].repeat(1, self.spec.action_horizon, 1)
        else:
            return init
        unit = space.bounds.to_unit(chunk.flatten(1).unsqueeze(1))
        shift = WARM_STD * rng.normal(len(init), count, self.spec.action_size)
        shift[:, 0] = 0.0
        warm = space.clamp(unit + shift)
        known = torch.isfinite(warm).all(-1, keepdim=True)
        return torch.cat([torch.where(known, warm, init[:, :count]), init[:, count:]], dim=1)

    def act_flat(self, obs: Obs, rng: RandomSource) -> Float[Tensor, "B A"]:
        """See :class:`Policy`."""
        return self.search(obs, rng).best()
