"""What a score sees of a decision: observations, the chosen action, and what more searches find."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ibc.energies import BoundEnergy, UnitSpace, as_bound
from ibc.errors import UserError
from ibc.nn import ActionBounds, ObsEncoder
from ibc.policies import ComposedPolicy, ImplicitPolicy, Policy
from ibc.policies.search import SearchResult
from ibc.samplers import Candidates
from ibc.spec import Obs

#: Independent searches of which the disagreement is computed.
NUM_SEARCHES = 2


@dataclass(frozen=True)
class Decision:
    """Decisions of a policy, a row each. What is computed of them is computed once, and the same for each row alone.

    Attributes:
        policy: that made them.
        obs: windows ``{name: (B, To, *shape)}``, environment units.
        action: flat chunks (B, A), environment units.
        number: decisions of the same episode before each.
    """

    policy: Policy
    obs: Obs
    action: Float[Tensor, "B A"]
    number: Int[Tensor, " B"]

    @cached_property
    @torch.no_grad()
    def features(self) -> Float[Tensor, "B F"]:
        """The policy's features of the observations.

        Raises:
            UserError: it has no encoder.
        """
        features: Tensor = encoder_of(self.policy)(self.obs)
        return features

    @cached_property
    @torch.no_grad()
    def bound(self) -> BoundEnergy:
        """The energy that the policy searches.

        Raises:
            UserError: it has none.
        """
        return as_bound(searched(self.policy).energy.bind(self.obs))

    @property
    def bounds(self) -> ActionBounds:
        """The unit cube of the policy's actions.

        Raises:
            UserError: it has no energy.
        """
        return searched(self.policy).bounds

    @property
    def space(self) -> UnitSpace:
        """The energy in the unit cube."""
        return UnitSpace(self.bound, self.bounds)

    @property
    def unit(self) -> Float[Tensor, "B A"]:
        """The chosen actions in the unit cube."""
        return self.bounds.to_unit(self.action.unsqueeze(1))[:, 0]

    @cached_property
    def searches(self) -> list[SearchResult]:
        """What independent searches end with, environment units."""
        return repeated_search(self.policy, self.obs, NUM_SEARCHES)


class SameForEach:
    """Random numbers that are the same for each row and each decision, so that a score depends on its row alone."""

    def __init__(self, seed: int, device: torch.device) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.device = device

    def uniform(self, *shape: int) -> Tensor:
        """See :class:`ibc.random.RandomSource`."""
        return torch.rand(1, *shape[1:], generator=self.generator).to(self.device).expand(*shape)

    def normal(self, *shape: int) -> Tensor:
        """See :class:`ibc.random.RandomSource`."""
        return torch.randn(1, *shape[1:], generator=self.generator).to(self.device).expand(*shape)


def repeated_search(policy: Policy, obs: Obs, count: int) -> list[SearchResult]:
    """Search several times from other random numbers.

    Raises:
        UserError: the policy has no energy.
    """
    device = next(iter(obs.values())).device
    search = searched(policy).search
    return [search(obs, SameForEach(seed, device)) for seed in range(count)]


def best_of(searches: Sequence[Candidates]) -> Float[Tensor, "B A"]:
    """The action of lowest energy that any of the searches has found."""
    action = torch.cat([found.lowest(1).action for found in searches], 1)
    energy = torch.cat([found.lowest(1).energy for found in searches], 1)
    return Candidates(action, energy).best()


def searched(policy: Policy) -> ImplicitPolicy | ComposedPolicy:
    """The policy, if it searches an energy.

    Raises:
        UserError: it does not.
    """
    if not isinstance(policy, ImplicitPolicy | ComposedPolicy):
        raise UserError(
            f"a {type(policy).__name__} searches no energy; distances of features need none: NearestNeighbors, Mahalanobis"
        )
    return policy


def encoder_of(policy: Policy) -> ObsEncoder:
    """The encoder of a policy's observations.

    Raises:
        UserError: it has none.
    """
    if isinstance(policy, ComposedPolicy):
        policy = policy.policy
    encoder = policy.energy.encoder if isinstance(policy, ImplicitPolicy) else None
    encoder = encoder or getattr(policy, "encoder", None)
    if not isinstance(encoder, ObsEncoder):
        raise UserError(f"a {type(policy).__name__} has no encoder, whose features are compared")
    return encoder
