"""An energy as the judge of another policy's proposals."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ibc.component import check_positive
from ibc.energies import as_bound
from ibc.errors import UserError
from ibc.policies.base import Policy, Statistics
from ibc.policies.implicit import ImplicitPolicy
from ibc.random import RandomSource
from ibc.samplers import Candidates
from ibc.spec import Obs


class VerifiedPolicy(Policy):
    """The action of lowest energy among samples of another policy (best of N).

    Args:
        policy: whose energy judges; its search is not used.
        proposer: whose samples are judged, such as a mixture or a diffusion policy.
        num_samples: of each decision; the proposer is asked as many times.

    Raises:
        UserError: the two have actions or histories of different size, or there is no sample.
    """

    def __init__(self, policy: ImplicitPolicy, proposer: Policy, *, num_samples: int = 16) -> None:
        super().__init__(policy.spec)
        check_same_task(policy, proposer)
        self.policy = policy
        self.proposer = proposer
        self.num_samples = num_samples
        check_positive(self, "num_samples")

    def fit(self, dataset: Statistics) -> None:
        """Raises UserError: both policies are trained before."""
        raise UserError("a judged policy is not trained; train its two parts")

    @torch.no_grad()
    def act_flat(self, obs: Obs, rng: RandomSource) -> Float[Tensor, "B A"]:
        """See :class:`Policy`."""
        samples = [self.proposer.act_flat(obs, rng) for _ in range(self.num_samples)]
        action = torch.stack(samples, 1)
        return Candidates(action, as_bound(self.policy.energy.bind(obs))(action)).best()


def check_same_task(policy: Policy, other: Policy) -> None:
    """Refuse two policies that cannot act in one loop.

    Raises:
        UserError: naming what differs.
    """
    for key in ("obs_horizon", "action_horizon", "action_dim"):
        mine, its = getattr(policy.spec, key), getattr(other.spec, key)
        if mine != its:
            raise UserError(f"compose.other has {key} {its}, the checkpoint {mine}")
    missing = [name for name, field in other.spec.obs.items() if policy.spec.obs.get(name) != field]
    if missing:
        raise UserError(f"compose.other sees {', '.join(missing)}, which the checkpoint does not")
