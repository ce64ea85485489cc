"""InfoNCE: classify the demonstrated action among negatives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ibc.losses.base import Loss, Metrics, collect_state, restore_state, unit_space
from ibc.losses.gradient_penalty import GradientPenalty
from ibc.losses.negatives import Negatives
from ibc.losses.regularizers import Regularizer
from ibc.random import RandomSource
from ibc.spec import Batch


def info_nce(energy: Float[Tensor, "B N1"], temperature: float = 1.0) -> Float[Tensor, " B"]:
    """``-log softmax(-energy / temperature)`` of column 0, the positive (IBC paper, equation 2)."""
    logits = -energy / temperature
    target = torch.zeros(len(energy), dtype=torch.int64, device=energy.device)
    return F.cross_entropy(logits, target, reduction="none")


class InfoNCE(Loss):
    """One InfoNCE term for each kind of negatives, and an optional gradient penalty.

    The kinds have terms of their own because the theory asks for candidates that are exchangeable within a set; their
    terms are averaged.

    Args:
        negatives: at least one kind.
        temperature: of the softmax.
        gradient_penalty: needed if negatives come from Langevin chains.
        regularizers: further penalties.
    """

    def __init__(
        self,
        *,
        negatives: Sequence[Negatives],
        temperature: float = 1.0,
        gradient_penalty: GradientPenalty | None = None,
        regularizers: Sequence[Regularizer] = (),
    ) -> None:
        if not negatives:
            raise ValueError("InfoNCE needs at least one kind of negatives")
        self.negatives = list(negatives)
        self.temperature = temperature
        self.regularizers = [*([gradient_penalty] if gradient_penalty else []), *regularizers]

    def __call__(
        self, policy: Any, batch: Batch, rng: RandomSource
    ) -> tuple[Float[Tensor, ""], Metrics]:
        """See :class:`Loss`. ``chance`` is the loss of an untrained energy, ln(1 + N)."""
        space = unit_space(self, policy, batch)
        positive = space.bounds.to_unit(batch.action).unsqueeze(1)
        sets = [draw(space, positive, rng) for draw in self.negatives]
        sizes = [negatives.shape[1] for negatives in sets]
        candidates = torch.cat([positive, *sets], dim=1)
        energy = space.energy(candidates)
        right, *wrong = torch.split(energy, [1, *sizes], dim=1)
        terms = [info_nce(torch.cat([right, w], 1), self.temperature).mean() for w in wrong]
        loss = torch.stack(terms).mean()
        metrics = {
            "info_nce": loss.detach(),
            "chance": loss.new_tensor(sum(math.log(1 + n) for n in sizes) / len(sizes)),
            "energy_positive": right.detach().mean(),
            "energy_negative": energy[:, 1:].detach().mean(),
        }
        for regularizer in self.regularizers:
            penalty = regularizer(space, candidates, rng)
            metrics[regularizer.name] = penalty.detach()
            loss = loss + penalty
        return loss, metrics

    def state_dict(self) -> dict[str, Tensor]:
        """See :class:`Loss`."""
        return collect_state(self.negatives)

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """See :class:`Loss`."""
        restore_state(self.negatives, state)
