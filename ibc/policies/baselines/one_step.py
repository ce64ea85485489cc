"""A generative policy of one step: a network turns noise into an action."""

from __future__ import annotations

import torch
from jaxtyping import Float

from ibc.policies.baselines.sequence import SequencePolicy
from ibc.random import RandomSource
from ibc.spec import Obs


class OneStepPolicy(SequencePolicy):
    """``a = F(z; o)`` with a unit normal z, as many numbers as the action (IMLE Policy, Rana et al. 2025).

    Trained by :class:`ibc.losses.ImplicitMaximumLikelihood`, so that every demonstrated action is near a sample.

    Args:
        encoder, network, context_size: see :class:`SequencePolicy`.
    """

    def sample_unit(self, obs: Obs, num: int, rng: RandomSource) -> Float[torch.Tensor, "B N A"]:
        """Draw ``num`` actions in the unit cube for each observation."""
        batch = len(next(iter(obs.values())))
        noise = rng.normal(batch, num, self.spec.action_size)
        return self.bind_network(obs)(noise, noise.new_zeros(batch, 1))

    @torch.no_grad()
    def act_flat(self, obs: Obs, rng: RandomSource) -> Float[torch.Tensor, "B A"]:
        unit = self.sample_unit(obs, 1, rng).squeeze(1)
        return self.bounds.from_unit(self.bounds.clamp_unit(unit))
