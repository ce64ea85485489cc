"""An exponential moving average of the weights, which acts in place of the last ones."""

from __future__ import annotations

import copy

import torch
from torch.optim.swa_utils import get_ema_multi_avg_fn

from ibc.policies import Policy


class MovingAverage:
    """A copy of a policy whose parameters are the exponential moving average of the policy's.

    Statistics that change in training, as those of spectral normalization, are those of the last step.

    Args:
        policy: that is trained.
        decay: part of the average that a step keeps; the first step replaces all of it.
    """

    def __init__(self, policy: Policy, decay: float) -> None:
        self.policy = copy.deepcopy(policy).requires_grad_(False)
        self._update = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def update(self, policy: Policy, *, is_first: bool) -> None:
        """Take in the weights after a step."""
        averaged, current = (
            [p.detach() for p in each.parameters()] for each in (self.policy, policy)
        )
        if is_first:
            torch._foreach_copy_(averaged, current)
        else:
            self._update(averaged, current, None)
        for kept, buffer in zip(self.policy.buffers(), policy.buffers(), strict=True):
            kept.copy_(buffer)
