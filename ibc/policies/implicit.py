"""The implicit policy: search for the action of lowest energy."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from ibc.energies import EnergyFn, MLPEnergy, NetworkEnergy
from ibc.errors import UserError
from ibc.nn import ActionBounds
from ibc.nn.densities import BoundDensity
from ibc.policies.base import Policy, Statistics, fit_statistics
from ibc.policies.captured import CapturedSearch
from ibc.policies.default_sampler import default_sampler
from ibc.random import RandomSource
from ibc.samplers import Candidates, Sampler, uniform_proposal
from ibc.spec import Obs, Spec

#: How far around the previous action a warm search starts, in the unit cube.
WARM_STD = 0.05


class ImplicitPolicy(Policy):
    """``argmin_a E(o, a)``, found by a sampler (IBC paper, equation 1).

    ``sampler`` is an ordinary attribute: put another one there, and the trained policy searches in another way.

    ``init_std`` chooses where the search starts: None spreads the candidates evenly; a number puts the first one at
    the energy's proposal and the others around it, at this standard deviation in the unit cube. An energy with a
    proposal density starts from draws of that.

    ``warm_start_fraction`` is the share of candidates that start at the last action of the previous decision and
    around it, where there was one. It is for searches with few candidates and steps: the best action is rarely far
    from the last.
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
        self.energy = MLPEnergy() if energy is None else energy
        self.energy.build(spec)
        self.sampler = default_sampler(self.energy) if sampler is None else sampler
        self.init_std = init_std
        self.warm_start_fraction = warm_start_fraction
        self._captured = CapturedSearch(self._search)
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
        """The energy's proposal, in the unit cube.

        Raises:
            UserError: it has none.
        """
        energy = self.energy.bind(obs)
        proposal: Tensor | None = getattr(energy, "proposal", None)
        if proposal is None:
            raise UserError(
                "this energy has no proposal, and so not a direct prediction; choose policy.energy.proposal=true"
            )
        return proposal.squeeze(1)

    @torch.no_grad()
    def search(self, obs: Obs, rng: RandomSource) -> Candidates:
        """All candidates the sampler ends with, each with its energy; on a GPU, replayed where it can be."""
        if not self.bounds.center.is_cuda:
            return self._search(obs, rng)
        # _version counts changes in place: of trained weights nothing prepared is used again.
        weights = sum(parameter._version for parameter in self.parameters())
        kind = (self.sampler, self.init_std, self.warm_start_fraction, self.training, weights)
        return self._captured(obs, rng, kind)

    def _search(self, obs: Obs, rng: RandomSource) -> Candidates:
        energy = self.energy.bind(obs)
        init = self.start(energy, len(next(iter(obs.values()))), self.bounds, rng)
        if self.warm_start_fraction > 0 and "previous_action" in obs:
            init = self._warmed(init, obs["previous_action"], rng)
        return self.sampler(energy, init, self.bounds, rng)

    @property
    def guided(self) -> bool:
        """Whether a search starts where the energy says, and not from an even spread."""
        return self.init_std is not None or getattr(self.energy, "density", None) is not None

    def start(
        self, energy: EnergyFn | None, batch: int, bounds: ActionBounds, rng: RandomSource
    ) -> Float[Tensor, "B N A"]:
        """The candidates that a search in ``bounds`` starts from; ``energy`` need be given only if ``guided``."""
        count = self.sampler.num_candidates
        density: BoundDensity | None = getattr(energy, "density", None)
        proposal: Tensor | None = getattr(energy, "proposal", None)
        if density is not None:
            return bounds.from_unit(bounds.clamp_unit(density.sample(count, rng)))
        if proposal is None or self.init_std is None:
            return uniform_proposal(batch, count, bounds, rng)
        shift = self.init_std * rng.normal(batch, count, self.spec.action_size)
        shift[:, 0] = 0.0
        return bounds.from_unit(bounds.clamp_unit(proposal + shift))

    def _warmed(
        self, init: Float[Tensor, "B N A"], previous: Float[Tensor, "B 1 D"], rng: RandomSource
    ) -> Float[Tensor, "B N A"]:
        """``init`` with its first candidates moved to the previous action and around it; NaN where there was none."""
        count = math.ceil(self.warm_start_fraction * init.shape[1])
        unit = self.bounds.to_unit(previous.repeat(1, 1, self.spec.action_horizon))
        shift = WARM_STD * rng.normal(len(init), count, self.spec.action_size)
        shift[:, 0] = 0.0
        warm = self.bounds.from_unit(self.bounds.clamp_unit(unit + shift))
        known = torch.isfinite(warm).all(-1, keepdim=True)
        return torch.cat([torch.where(known, warm, init[:, :count]), init[:, count:]], dim=1)

    def act_flat(self, obs: Obs, rng: RandomSource) -> Float[Tensor, "B A"]:
        """See :class:`Policy`."""
        return self.search(obs, rng).best()
