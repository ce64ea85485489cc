"""Ranking NCE at every noise level."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from ibc.errors import UserError
from ibc.losses.base import Loss, LossAndMetrics, bind, required
from ibc.losses.info_nce import ranking_nce
from ibc.random import RandomSource
from ibc.spec import Batch


@dataclass(eq=False, kw_only=True)
class InterpolatingRankingNCE(Loss):
    """Ranking NCE of ``U / s^2`` at a log-uniform noise level s, against a Gaussian blurred by the same noise.

    The positive is ``a + s xi``; negatives are from ``q_s = N(0, d^2 + s^2)``, the Gaussian of the data's deviation d
    at that level, of which the density is known. At the largest levels both are nearly the same, at small ones nearly
    every negative is told apart at once (Singh et al. 2023, section 5, where proposals are learned flows). An energy
    that starts as this Gaussian (:class:`ibc.energies.PreconditionedEnergy`) starts at chance, ``ln(1 + N)``.

    Args:
        num: negatives.
    """

    num: int = 64

    def __post_init__(self) -> None:
        if self.num < 1:
            raise UserError(f"num={self.num}; it must be at least 1")

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
        chance = loss.new_tensor(math.log(1 + self.num))
        return loss, {"ranking_nce": loss.detach(), "chance": chance}
