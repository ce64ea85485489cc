"""InfoNCE of each action dimension given those before it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ibc.losses.base import (
    Loss,
    Metrics,
    collect_state,
    mismatch,
    restore_state,
    unit_space,
)
from ibc.losses.info_nce import info_nce
from ibc.losses.negatives import Negatives
from ibc.random import RandomSource
from ibc.spec import Batch


class PrefixInfoNCE(Loss):
    """``sum_j InfoNCE`` of ``E_j(o, a_1..a_j)``, all dimensions at once (IBC paper, appendix B.2, for algorithm 2).

    The earlier dimensions are those of the demonstrated action (teacher forcing), so each term has one dimension, which
    a few dozen negatives cover.

    Args:
        negatives: their column j is compared with the demonstrated ``a_j``; each kind has a term of its own.
        temperature: of the softmax.
    """

    def __init__(self, *, negatives: Sequence[Negatives], temperature: float = 1.0) -> None:
        if not negatives:
            raise ValueError("InfoNCE needs at least one kind of negatives")
        self.negatives = list(negatives)
        self.temperature = temperature

    def __call__(
        self, policy: Any, batch: Batch, rng: RandomSource
    ) -> tuple[Float[Tensor, ""], Metrics]:
        """See :class:`Loss`."""
        space = unit_space(self, policy, batch)
        if not space.is_autoregressive:
            raise mismatch(self, policy.energy, "prefix energies (policy=implicit_autoregressive)")
        positive = space.bounds.to_unit(batch.action).unsqueeze(1)
        sets = [draw(space, positive, rng) for draw in self.negatives]
        sizes = [wrong.shape[1] for wrong in sets]
        values = torch.cat([positive, *sets], 1).unsqueeze(1)
        energy = space.bound.conditionals(positive, values)[:, 0].transpose(1, 2)
        right, *wrong = torch.split(energy.flatten(0, 1), [1, *sizes], 1)
        terms = [info_nce(torch.cat([right, other], 1), self.temperature) for other in wrong]
        size = positive.shape[-1]
        loss = size * torch.stack([term.mean() for term in terms]).mean()
        chance = size * sum(math.log(1 + n) for n in sizes) / len(sizes)
        return loss, {"prefix_nce": loss.detach(), "chance": loss.new_tensor(chance)}

    def state_dict(self) -> dict[str, Tensor]:
        """See :class:`Loss`."""
        return collect_state(self.negatives)

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """See :class:`Loss`."""
        restore_state(self.negatives, state)
