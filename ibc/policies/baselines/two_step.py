"""Regression in one or two steps."""

from __future__ import annotations

import torch
from jaxtyping import Float

from ibc.errors import UserError
from ibc.nn import ObsEncoder
from ibc.nn.sequence import SequenceNetwork
from ibc.policies.baselines.sequence import SequencePolicy
from ibc.random import RandomSource
from ibc.spec import Obs, Spec


class TwoStepPolicy(SequencePolicy):
    """Predicts an action from nothing, then again from ``t a`` for the first prediction a (MIP, Pan et al. 2025).

    Trained by :class:`ibc.losses.TwoStepRegression`. There is no noise when it acts.

    Args:
        encoder, network, context_size: see :class:`SequencePolicy`.
        time: t, the part of the action in what the second step sees.
        num_steps: 2, or 1 for plain regression by the same network.

    Raises:
        UserError: another number of steps, or t outside of 0 to 1.
    """

    def __init__(
        self,
        spec: Spec,
        encoder: ObsEncoder | None = None,
        network: SequenceNetwork | None = None,
        *,
        context_size: int = 256,
        time: float = 0.9,
        num_steps: int = 2,
    ) -> None:
        super().__init__(spec, encoder, network, context_size=context_size)
        if num_steps not in (1, 2):
            raise UserError(f"num_steps={num_steps}; it must be 1 or 2")
        if not 0 < time < 1:
            raise UserError(f"time={time}; it must be between 0 and 1")
        self.time, self.num_steps = time, num_steps

    @torch.no_grad()
    def act_flat(self, obs: Obs, rng: RandomSource) -> Float[torch.Tensor, "B A"]:
        network = self.bind_network(obs)
        batch = len(next(iter(obs.values())))
        unit = self.bounds.unit_low.new_zeros(batch, 1, self.spec.action_size)
        for time in (0.0, self.time)[: self.num_steps]:
            unit = network(time * unit, unit.new_full((batch, 1), time))
        return self.bounds.from_unit(self.bounds.clamp_unit(unit.squeeze(1)))
