"""An exponential moving average of the weights, which acts in place of the last ones."""

from __future__ import annotations

import copy

import torch

from ibc.policies import Policy

#: A step keeps at most ``n / (n + RAMP)`` of the average, with n the number of steps before it.
RAMP = 9.0


class MovingAverage:
    """A copy of a policy whose parameters are the exponential moving average of the policy's.

    A step keeps ``min(decay, n / (n + 9))`` of the average, with n the number of steps before it. The average reaches
    back over about ``1 / (1 - decay)`` steps, or, in a shorter run, over about a tenth of its steps. The
    weights from before the first step have no part in it. Statistics that change in training, as those of spectral
    normalization, are those of the last step.

    Args:
        policy: that is trained.
        decay: the largest part of the average that a step keeps.
    """

    def __init__(self, policy: Policy, decay: float) -> None:
        self.policy = copy.deepcopy(policy).requires_grad_(False)
        self.decay = decay
        #: In the memory of the device, where a recorded step counts, too.
        self.num_steps = torch.zeros((), device=next(policy.parameters()).device)

    @torch.no_grad()
    def update(self, policy: Policy) -> None:
        """Take in the weights after a step."""
        averaged, current = (
            [p.detach() for p in each.parameters()] for each in (self.policy, policy)
        )
        new = torch.clamp(RAMP / (self.num_steps + RAMP), min=1 - self.decay)
        change = torch._foreach_sub(current, averaged)
        torch._foreach_mul_(change, new)
        torch._foreach_add_(averaged, change)
        self.num_steps += 1
        for kept, buffer in zip(self.policy.buffers(), policy.buffers(), strict=True):
            kept.copy_(buffer)
