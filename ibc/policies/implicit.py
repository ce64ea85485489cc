"""The implicit policy: search for the action of lowest energy."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from ibc.energies import EnergyFn, HasStart, NetworkEnergy
from ibc.errors import UserError
from ibc.nn import ActionBounds
from ibc.noise import Noise
from ibc.policies.base import Policy, Statistics, fit_statistics
from ibc.policies.captured import CapturedSearch
from ibc.samplers import Candidates, Sampler, uniform_proposal
from ibc.types import Obs, Spec

#: How far around the previous action a warm search starts, in the unit cube.
WARM_STD = 0.05


class ImplicitPolicy(Policy):
    """``argmin_a E(o, a)``, found by a sampler (IBC paper, equation 1).

    ``sampler`` is an ordinary attribute: put another one there, and the trained policy searches in another way.

    ``start_std`` chooses where the search starts: None spreads the candidates evenly; a number puts the first one at
    the energy's proposal and the others around it, at this standard deviation in the unit cube. An energy with a
    proposal density starts from draws of that.

    ``warm_start`` is the share of candidates that start at the last action of the previous decision and around it,
    where there was one. It is for searches with few candidates and steps: the best action is rarely far from the last.
    """

    def __init__(
        self,
        spec: Spec,
        *,
        energy: Callable[[Spec], NetworkEnergy],
        sampler: Sampler,
        start_std: float | None = None,
        warm_start: float = 0.0,
    ) -> None:
        super().__init__(spec)
        self.energy = energy(spec)
        self.sampler = sampler
        self.start_std = start_std
        self.warm_start = warm_start
        self._captured = CapturedSearch(self._search)
        if start_std is not None and getattr(self.energy, "proposal", None) is None:
            raise UserError(
                "network.start_std needs an energy with a proposal: network.proposal=true"
            )

    @property
    def warm_start(self) -> float:
        """The share of candidates that start at the previous action."""
        return self._warm_start

    @warm_start.setter
    def warm_start(self, share: float) -> None:
        if not 0 <= share <= 1:
            raise UserError(f"warm_start={share}; allowed: a share, 0 to 1")
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
        proposal = energy.proposal if isinstance(energy, HasStart) else None
        if proposal is None:
            raise UserError(
                "this energy has no proposal, and so not a direct prediction; choose network.proposal=true"
            )
        return proposal.squeeze(1)

    @torch.no_grad()
    def search(self, obs: Obs, noise: Noise) -> Candidates:
        """All candidates the sampler ends with, each with its energy; on a GPU, replayed where it can be."""
        if not self.bounds.centre.is_cuda:
            return self._search(obs, noise)
        # _version counts changes in place: of trained weights nothing prepared is used again.
        weights = sum(parameter._version for parameter in self.parameters())
        kind = (self.sampler, self.start_std, self.warm_start, self.training, weights)
        return self._captured(obs, noise, kind)

    def _search(self, obs: Obs, noise: Noise) -> Candidates:
        energy = self.energy.bind(obs)
        init = self.start(energy, len(next(iter(obs.values()))), self.bounds, noise)
        if self.warm_start > 0 and "previous_action" in obs:
            init = self._warmed(init, obs["previous_action"], noise)
        return self.sampler(energy, init, self.bounds, noise)

    @property
    def guided(self) -> bool:
        """Whether a search starts where the energy says, and not from an even spread."""
        return self.start_std is not None or getattr(self.energy, "density", None) is not None

    def start(
        self, energy: EnergyFn | None, batch: int, bounds: ActionBounds, noise: Noise
    ) -> Float[Tensor, "B N A"]:
        """The candidates that a search in ``bounds`` starts from; ``energy`` need be given only if ``guided``."""
        count = self.sampler.num_candidates
        if isinstance(energy, HasStart) and energy.density is not None:
            return bounds.from_unit(bounds.clamp_unit(energy.density.sample(count, noise)))
        if not isinstance(energy, HasStart) or energy.proposal is None or self.start_std is None:
            return uniform_proposal(batch, count, bounds, noise)
        shift = self.start_std * noise.normal(batch, count, self.spec.action_size)
        shift[:, 0] = 0.0
        return bounds.from_unit(bounds.clamp_unit(energy.proposal + shift))

    def _warmed(
        self, init: Float[Tensor, "B N A"], previous: Float[Tensor, "B 1 D"], noise: Noise
    ) -> Float[Tensor, "B N A"]:
        """``init`` with its first candidates moved to the previous action and around it; NaN where there was none."""
        count = math.ceil(self.warm_start * init.shape[1])
        unit = self.bounds.to_unit(previous.repeat(1, 1, self.spec.action_horizon))
        shift = WARM_STD * noise.normal(len(init), count, self.spec.action_size)
        shift[:, 0] = 0.0
        warm = self.bounds.from_unit(self.bounds.clamp_unit(unit + shift))
        known = torch.isfinite(warm).all(-1, keepdim=True)
        return torch.cat([torch.where(known, warm, init[:, :count]), init[:, count:]], dim=1)

    def act_flat(self, obs: Obs, noise: Noise) -> Float[Tensor, "B A"]:
        """See :class:`Policy`."""
        return self.search(obs, noise).best()
