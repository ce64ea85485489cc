"""The implicit policy: search for the action of lowest energy."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from ibc.energies import LearnedEnergy
from ibc.nn import ActionBounds
from ibc.noise import Noise
from ibc.policies.base import Policy, Statistics, fit_statistics
from ibc.samplers import Candidates, Sampler, uniform_proposal
from ibc.types import Obs, Spec


class ImplicitPolicy(Policy):
    """``argmin_a E(o, a)``, found by a sampler (IBC paper, equation 1).

    ``sampler`` is an ordinary attribute: put another one there, and the trained policy searches in another way.
    """

    def __init__(
        self, spec: Spec, *, energy: Callable[[Spec], LearnedEnergy], sampler: Sampler
    ) -> None:
        super().__init__(spec)
        self.energy = energy(spec)
        self.sampler = sampler

    @property
    def bounds(self) -> ActionBounds:
        """The energy's own map to the unit cube."""
        return self.energy.bounds

    def fit(self, dataset: Statistics) -> None:
        """See :class:`Policy`."""
        fit_statistics(self.spec, dataset, self.energy.encoder, self.bounds)

    @torch.no_grad()
    def search(self, obs: Obs, noise: Noise) -> Candidates:
        """All candidates the sampler ends with, each with its energy."""
        energy = self.energy.bind(obs)
        batch = len(next(iter(obs.values())))
        init = uniform_proposal(batch, self.sampler.num_candidates, self.bounds, noise)
        return self.sampler(energy, init, self.bounds, noise)

    def act_flat(self, obs: Obs, noise: Noise) -> Float[Tensor, "B A"]:
        """See :class:`Policy`."""
        return self.search(obs, noise).best()
