"""A flow-matching policy: a velocity field carries noise to actions."""

from __future__ import annotations

import torch
from jaxtyping import Float

from ibc.component import check_positive
from ibc.nn import ObsEncoder
from ibc.nn.sequence import SequenceNetwork
from ibc.policies.baselines.sequence import SequencePolicy
from ibc.random import RandomSource
from ibc.spec import Obs, Spec


class FlowMatchingPolicy(SequencePolicy):
    """Follows ``dx/dt = v(x, t, o)`` from a unit normal at t = 0 to an action at t = 1 (Lipman et al. 2023).

    Trained by :class:`ibc.losses.FlowMatching` on straight lines (rectified flow, Liu et al. 2023).

    Args:
        encoder, network, context_size: see :class:`SequencePolicy`.
        num_steps: Euler steps of each decision.

    Raises:
        UserError: no steps.
    """

    def __init__(
        self,
        spec: Spec,
        encoder: ObsEncoder | None = None,
        network: SequenceNetwork | None = None,
        *,
        context_size: int = 256,
        num_steps: int = 10,
    ) -> None:
        super().__init__(spec, encoder, network, context_size=context_size)
        self.num_steps = num_steps
        check_positive(self, "num_steps")

    @torch.no_grad()
    def act_flat(self, obs: Obs, rng: RandomSource) -> Float[torch.Tensor, "B A"]:
        velocity = self.bind_network(obs)
        batch = len(next(iter(obs.values())))
        unit = rng.normal(batch, 1, self.spec.action_size)
        for step in range(self.num_steps):
            time = unit.new_full((batch, 1), step / self.num_steps)
            unit = unit + velocity(unit, time) / self.num_steps
        return self.bounds.from_unit(self.bounds.clamp_unit(unit.squeeze(1)))
