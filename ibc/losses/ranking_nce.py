"""Ranking NCE: InfoNCE corrected for the density of its negatives, which is trained beside the energy."""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ibc.losses.base import Loss, Metrics, mismatch, unit_space
from ibc.losses.info_nce import info_nce
from ibc.random import RandomSource
from ibc.spec import Batch


def ranking_nce(
    energy: Float[Tensor, "B N1"], log_proposal: Float[Tensor, "B N1"], temperature: float = 1.0
) -> Float[Tensor, " B"]:
    """InfoNCE of ``E / temperature + log q``, the positive in column 0 (Ma and Collins 2018).

    With negatives from q its optimum is ``exp(-E / temperature) = p c(o)``, where InfoNCE alone finds ``p / q c(o)``.
    """
    return info_nce(energy / temperature + log_proposal)


class RankingNCE(Loss):
    """Ranking NCE with negatives from the energy's own proposal density (Singh et al. 2023, section 4).

    The proposal is trained by maximum likelihood on the demonstrations and never by the ranking, so that it keeps
    covering them.

    Args:
        num: negatives.
        temperature: of the energies.
        likelihood_weight: of the proposal's negative log likelihood.
    """

    def __init__(
        self, *, num: int, temperature: float = 1.0, likelihood_weight: float = 1.0
    ) -> None:
        self.num = num
        self.temperature = temperature
        self.likelihood_weight = likelihood_weight

    def __call__(
        self, policy: Any, batch: Batch, rng: RandomSource
    ) -> tuple[Float[Tensor, ""], Metrics]:
        """See :class:`Loss`."""
        space = unit_space(self, policy, batch)
        proposal = space.bound.density
        if proposal is None:
            raise mismatch(self, policy.energy, "a proposal density (policy=implicit_ranked)")
        positive = space.bounds.to_unit(batch.action).unsqueeze(1)
        unit = torch.cat([positive, proposal.sample(self.num, rng)], 1)
        log_proposal = proposal.log_prob(unit)
        energy = space.energy(unit)
        ranking = ranking_nce(energy, log_proposal.detach(), self.temperature).mean()
        likelihood = log_proposal[:, 0].mean()
        metrics = {
            "ranking_nce": ranking.detach(),
            "chance": ranking.new_tensor(math.log(1 + self.num)),
            "proposal_nll": -likelihood.detach(),
        }
        if not likelihood.requires_grad:  # a fixed proposal
            return ranking, metrics
        return ranking - self.likelihood_weight * likelihood, metrics
