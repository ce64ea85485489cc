"""InfoNCE: classify the demonstrated action among negatives, whole, by dimension, or relative to a proposal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ibc.component import check_positive
from ibc.losses.base import Loss, LossAndMetrics, bind, mismatch, required
from ibc.losses.negatives import NegativesLoss
from ibc.losses.regularizers import GradientPenalty, Regularizer, penalize
from ibc.random import RandomSource
from ibc.spec import Batch


def info_nce(energy: Float[Tensor, "B N1"], temperature: float = 1.0) -> Float[Tensor, " B"]:
    """``-log softmax(-energy / temperature)`` of column 0, the positive (IBC paper, equation 2)."""
    logits = -energy / temperature
    target = torch.zeros(len(energy), dtype=torch.int64, device=energy.device)
    return F.cross_entropy(logits, target, reduction="none")


@dataclass(eq=False, kw_only=True)
class InfoNCE(NegativesLoss):
    """One InfoNCE term for each kind of negatives, and an optional gradient penalty.

    The kinds have terms of their own because the theory asks for candidates that are exchangeable within a set; their
    terms are averaged.

    Args:
        negatives: at least one kind.
        temperature: of the softmax.
        per_dimension: whether the temperature is multiplied by the numbers of an action: differences of energies of
            curvature one (:class:`ibc.losses.DenoisingScoreMatching`) grow with their count.
        gradient_penalty: needed if negatives come from Langevin chains.
        regularizers: further penalties.
    """

    temperature: float = 1.0
    per_dimension: bool = False
    gradient_penalty: GradientPenalty | None = None
    regularizers: Sequence[Regularizer] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self, "temperature")

    def __call__(self, policy: Any, batch: Batch, rng: RandomSource) -> LossAndMetrics:
        """See :class:`Loss`. ``chance`` is the loss of an untrained energy, ln(1 + N)."""
        space, positive, sets = self.draw(policy, batch, rng)
        sizes = [negatives.shape[1] for negatives in sets]
        candidates = torch.cat([positive, *sets], dim=1)
        energy = space.energy(candidates)
        right, *wrong = torch.split(energy, [1, *sizes], dim=1)
        temperature = self.temperature * (positive.shape[-1] if self.per_dimension else 1)
        terms = [info_nce(torch.cat([right, w], 1), temperature).mean() for w in wrong]
        loss = torch.stack(terms).mean()
        metrics = {
            "info_nce": loss.detach(),
            "chance": loss.new_full((), sum(math.log(1 + n) for n in sizes) / len(sizes)),
            "energy_positive": right.detach().mean(),
            "energy_negative": energy[:, 1:].detach().mean(),
        }
        regularizers = [*filter(None, [self.gradient_penalty]), *self.regularizers]
        penalty, reported = penalize(regularizers, space, candidates, rng)
        return loss + penalty, metrics | reported


@dataclass(eq=False, kw_only=True)
class PrefixInfoNCE(NegativesLoss):
    """``sum_j InfoNCE`` of ``E_j(o, a_1..a_j)``, all dimensions at once (IBC paper, appendix B.2, for algorithm 2).

    The earlier dimensions are those of the demonstrated action (teacher forcing), so each term has one dimension, which
    a few dozen negatives cover.

    Args:
        negatives: their column j is compared with the demonstrated ``a_j``; each kind has a term of its own.
        temperature: of the softmax.
    """

    temperature: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self, "temperature")

    def __call__(self, policy: Any, batch: Batch, rng: RandomSource) -> LossAndMetrics:
        space, positive, sets = self.draw(policy, batch, rng)
        if not space.is_autoregressive:
            raise mismatch(self, policy.energy, "prefix energies (policy=implicit_autoregressive)")
        sizes = [wrong.shape[1] for wrong in sets]
        values = torch.cat([positive, *sets], 1).unsqueeze(1)
        energy = space.bound.conditionals(positive, values)[:, 0].transpose(1, 2)
        right, *wrong = torch.split(energy.flatten(0, 1), [1, *sizes], 1)
        terms = [info_nce(torch.cat([right, other], 1), self.temperature) for other in wrong]
        size = positive.shape[-1]
        loss = size * torch.stack([term.mean() for term in terms]).mean()
        chance = size * sum(math.log(1 + n) for n in sizes) / len(sizes)
        return loss, {"prefix_nce": loss.detach(), "chance": loss.new_full((), chance)}


def ranking_nce(
    energy: Float[Tensor, "B N1"], log_proposal: Float[Tensor, "B N1"], temperature: float = 1.0
) -> Float[Tensor, " B"]:
    """InfoNCE of ``E / temperature + log q``, the positive in column 0 (Ma and Collins 2018).

    With negatives from q its optimum is ``exp(-E / temperature) = p c(o)``, where InfoNCE alone finds ``p / q c(o)``.
    """
    return info_nce(energy / temperature + log_proposal)


@dataclass(eq=False, kw_only=True)
class RankingNCE(Loss):
    """Ranking NCE with negatives from the energy's own proposal density (Singh et al. 2023, section 4).

    The proposal is trained by maximum likelihood on the demonstrations and never by the ranking, so that it keeps
    covering them.

    Args:
        num: negatives.
        temperature: of the energies.
        likelihood_weight: of the proposal's negative log likelihood.
    """

    num: int
    temperature: float = 1.0
    likelihood_weight: float = 1.0

    def __post_init__(self) -> None:
        check_positive(self, "num", "temperature")

    def __call__(self, policy: Any, batch: Batch, rng: RandomSource) -> LossAndMetrics:
        space, positive = bind(self, policy, batch)
        proposal = space.bound.density
        if proposal is None:
            raise mismatch(self, policy.energy, "a proposal density (policy=implicit_ranked)")
        unit = torch.cat([positive, proposal.sample(self.num, rng)], 1)
        log_proposal = proposal.log_prob(unit)
        energy = space.energy(unit)
        ranking = ranking_nce(energy, log_proposal.detach(), self.temperature).mean()
        likelihood = log_proposal[:, 0].mean()
        metrics = {
            "ranking_nce": ranking.detach(),
            "chance": ranking.new_full((), math.log(1 + self.num)),
            "proposal_nll": -likelihood.detach(),
        }
        if not likelihood.requires_grad:  # a fixed proposal
            return ranking, metrics
        return ranking - self.likelihood_weight * likelihood, metrics


@dataclass(eq=False, kw_only=True)
class InterpolatingRankingNCE(Loss):
    """Ranking NCE of ``U / s^2`` at a log-uniform noise level s, against a Gaussian blurred by the same noise.

    The positive is ``a + s xi``; negatives are from ``q_s = N(0, d^2 + s^2)``, the Gaussian of the data's deviation d
    at that level, of which the density is known. At the largest levels positives and negatives have nearly the same
    distribution; at small ones the classification is soon exact (Singh et al. 2023, section 5, where proposals are
    learned flows). An energy that starts as this Gaussian (:class:`ibc.energies.PreconditionedEnergy`) starts at
    chance, ``ln(1 + N)``.

    Args:
        num: negatives.
    """

    num: int = 64

    def __post_init__(self) -> None:
        check_positive(self, "num")

    def __call__(self, policy: Any, batch: Batch, rng: RandomSource) -> LossAndMetrics:
        space, action = bind(self, policy, batch)
        need = "noise levels and a data_std (policy=implicit_preconditioned)"
        data_std = required(self, policy.energy, "data_std", need).data_std
        high, low = space.sigmas[0], space.sigmas[-1]
        std = low * (high / low) ** rng.uniform(len(action), 1)
        wide = (std.square() + data_std**2).sqrt().unsqueeze(1)
        positive = action + std.unsqueeze(1) * rng.normal(*action.shape)
        negatives = wide * rng.normal(len(action), self.num, action.shape[-1])
        candidates = torch.cat([positive, negatives], 1)
        energy = space.at(std).energy(candidates) / std.square()
        log_proposal = -(candidates / wide).square().sum(-1) / 2
        loss = ranking_nce(energy, log_proposal).mean()
        chance = loss.new_full((), math.log(1 + self.num))
        return loss, {"ranking_nce": loss.detach(), "chance": chance}
