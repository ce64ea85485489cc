"""Contrastive divergence: lower the energy of demonstrated actions, raise that of negatives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ibc.energies import UnitSpace
from ibc.losses.base import LossAndMetrics
from ibc.losses.negatives import NegativesLoss
from ibc.losses.regularizers import Regularizer, penalize
from ibc.random import RandomSource
from ibc.spec import Batch

#: Distances below this are not told apart, so that two equal negatives do not push with infinite force.
NEAREST = 1e-3
#: Step of the one gradient step through which the chain itself is trained, in the unit cube.
LAST_STEP = 0.1


@dataclass(eq=False, kw_only=True)
class ContrastiveDivergence(NegativesLoss):
    """``E(positive) - E(negatives)`` (Hinton 2002), with the term it usually leaves out, and with limits.

    *The entropy term.* Negatives depend on the parameters, and the gradient through them does not vanish (Du et al.
    2021, section 3): the chain should end where energy is low and its ends should lie apart. With ``entropy_weight``
    the last gradient step is differentiated; the energy of where it leads (parameters held) is lowered, and the
    entropy of where they lead is raised: in d dimensions d times the mean logarithm of the distance to the nearest
    other negative, up to a constant (Kozachenko and Leonenko 1987). Both of two neighbors move.

    *Limits.* The difference is not bounded below, so energies run apart without end. ``margin`` stops that: a
    difference beyond it counts no more, abruptly or, with ``soft``, gradually (softplus).

    Args:
        negatives: each kind has a difference of its own; they are averaged.
        entropy_weight: of the entropy term; 0 leaves it out.
        margin: of the difference, in units of energy; None is no limit.
        soft: whether the limit is smooth.
        regularizers: what keeps the energies in check.
    """

    entropy_weight: float = 0.0
    margin: float | None = None
    soft: bool = False
    regularizers: Sequence[Regularizer] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.soft and self.margin is None:
            raise ValueError("soft=true needs a margin")

    def __call__(self, policy: Any, batch: Batch, rng: RandomSource) -> LossAndMetrics:
        space, positive, sets = self.draw(policy, batch, rng)
        sizes = [wrong.shape[1] for wrong in sets]
        candidates = torch.cat([positive, *sets], 1)
        energy = space.energy(candidates)
        right, *wrong = torch.split(energy, [1, *sizes], 1)
        gaps = torch.stack([right[:, 0] - other.mean(1) for other in wrong])
        loss = limited(gaps, self.margin, soft=self.soft).mean()
        metrics = {"gap": gaps.detach().mean(), "energy_positive": right.detach().mean()}
        penalty, reported = penalize(self.regularizers, space, candidates, rng)
        loss, metrics = loss + penalty, metrics | reported
        if self.entropy_weight > 0:
            terms = [entropy_term(space, negatives) for negatives in sets]
            term = torch.stack(terms).mean()
            metrics["entropy_term"] = term.detach()
            loss = loss + self.entropy_weight * term
        return loss, metrics


def limited(gap: Tensor, margin: float | None, *, soft: bool) -> Tensor:
    """The differences as they are, or not below ``-margin``: ``softplus(gap + margin) - margin`` is the smooth form."""
    if margin is None:
        return gap
    return (F.softplus(gap + margin) if soft else (gap + margin).clamp(min=0)) - margin


def entropy_term(space: UnitSpace, negatives: Float[Tensor, "B N A"]) -> Float[Tensor, ""]:
    """Compute ``E(a') - H(a')`` for ``a'`` one gradient step on; its gradient flows through ``a'`` alone."""
    start = negatives.detach()
    unit = start - LAST_STEP * space.gradient(start, create_graph=True)
    # dE/da' times a' has the gradient of E(a') with the parameters of E held.
    there = space.gradient(unit.detach()).detach()
    follow = (there * (unit - unit.detach())).sum(-1).mean()
    if negatives.shape[1] < 2:
        return follow
    apart = torch.cdist(unit, unit)
    apart = apart + torch.diag_embed(apart.new_full((apart.shape[1],), torch.inf))
    return follow - unit.shape[-1] * apart.amin(-1).clamp(min=NEAREST).log().mean()
