"""Parts of a policy as modules of plain tensors, which can be traced: batches of one, fixed numbers of candidates."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ibc.energies import AutoregressiveEnergy, BoundNetworkEnergy, NetworkEnergy
from ibc.energies.autoregressive import BoundAutoregressive
from ibc.policies import ImplicitPolicy, Policy
from ibc.spec import Obs

#: The name under which features stand in for an observation.
_FEATURES = "features"


class _Given(nn.Module):
    """Stands in for an encoder where the features are known."""

    def forward(self, obs: Obs) -> Tensor:
        return obs[_FEATURES]


def bind_features(energy: NetworkEnergy, features: Float[Tensor, "B F"]) -> BoundNetworkEnergy:
    """Bind an energy to what its encoder has made of observations."""
    encoder = energy.encoder
    energy._modules["encoder"] = _Given()
    try:
        bound = energy.bind({_FEATURES: features})
    finally:
        energy._modules["encoder"] = encoder
    assert isinstance(bound, BoundNetworkEnergy)
    return bound


class EncoderGraph(nn.Module):
    """Observations, in the order of ``names``, to features, and to the proposal from which a search starts, if any."""

    def __init__(self, policy: ImplicitPolicy) -> None:
        super().__init__()
        self.energy = policy.energy
        self.names = sorted(policy.spec.obs)
        self.has_proposal = policy.init_std is not None

    def forward(self, *obs: Tensor) -> tuple[Tensor, ...]:
        """Of ``(1, To, *shape)`` each."""
        features = self.energy.encoder(dict(zip(self.names, obs, strict=True)))
        if not self.has_proposal:
            return (features,)
        proposal = bind_features(self.energy, features).proposal
        assert proposal is not None
        return features, proposal


class EnergyGraph(nn.Module):
    """Features and candidates in the unit cube to energies and their gradients."""

    def __init__(self, energy: NetworkEnergy, *, has_gradient: bool = True) -> None:
        super().__init__()
        self.energy = energy
        self.has_gradient = has_gradient

    def forward(
        self, features: Float[Tensor, "1 F"], unit: Float[Tensor, "1 N A"], *sigma: Tensor
    ) -> tuple[Tensor, ...]:
        """At the noise level ``sigma`` (1, 1), for an energy that has levels."""
        bound = bind_features(self.energy, features)
        if sigma:
            leveled = bound.at(sigma[0])
            assert isinstance(leveled, BoundNetworkEnergy)
            bound = leveled
        energy = bound.unit_energy(unit)
        return (energy, bound.unit_gradient(unit)) if self.has_gradient else (energy,)


class PrefixGraph(nn.Module):
    """Features, candidates and a dimension j to the prefix energies ``E_j``."""

    def __init__(self, energy: AutoregressiveEnergy) -> None:
        super().__init__()
        self.energy = energy

    def forward(
        self, features: Float[Tensor, "1 F"], unit: Float[Tensor, "1 N A"], j: Int[Tensor, 1]
    ) -> Tensor:
        """As :meth:`ibc.energies.BoundEnergy.prefix`, with j as a tensor."""
        bound = bind_features(self.energy, features)
        assert isinstance(bound, BoundAutoregressive)
        return bound.prefix_at(unit, j)


class ActGraph(nn.Module):
    """Observations and random numbers to the action chunk of a policy that does not search."""

    def __init__(self, policy: Policy) -> None:
        super().__init__()
        self.policy = policy
        self.names = sorted(policy.spec.obs)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Observations ``(1, To, *shape)`` each, then the random numbers, in the order in which they are drawn."""
        count = len(self.names)
        obs = dict(zip(self.names, inputs[:count], strict=True))
        return self.policy.act_flat(obs, Replayed(inputs[count:]))


class Replayed:
    """A source of random numbers that have been drawn."""

    def __init__(self, draws: Sequence[Tensor]) -> None:
        self.draws = list(draws)

    def uniform(self, *shape: int) -> Tensor:
        """See :class:`ibc.random.RandomSource`."""
        return self.draws.pop(0)

    def normal(self, *shape: int) -> Tensor:
        """See :class:`ibc.random.RandomSource`."""
        return self.draws.pop(0)


class Noted:
    """A source of random numbers that notes what is drawn."""

    def __init__(self) -> None:
        self.draws: list[tuple[str, Sequence[int]]] = []

    def uniform(self, *shape: int) -> Tensor:
        """See :class:`ibc.random.RandomSource`."""
        self.draws.append(("uniform", shape))
        return torch.rand(*shape)

    def normal(self, *shape: int) -> Tensor:
        """See :class:`ibc.random.RandomSource`."""
        self.draws.append(("normal", shape))
        return torch.randn(*shape)
