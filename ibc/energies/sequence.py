"""An energy of action chunks without noise levels."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from ibc.energies.base import BoundNetworkEnergy
from ibc.energies.network import NetworkEnergy
from ibc.nn import ActionBounds, ObsEncoder
from ibc.nn.sequence import FiLMMLP, SequenceContext, SequenceNetwork
from ibc.spec import Obs, Spec


class SequenceEnergy(NetworkEnergy):
    """``E = k |x|^2 / 2 - <x, F(x; o)>``: a quadratic bowl and a network that is zero before training.

    The noise-free relative of :class:`PreconditionedEnergy`: its gradient starts as the linear function ``k x``, which
    the network reshapes (the scalar energy of equilibrium matching, Wang and Du 2025).

    Args:
        encoder: of observations; :class:`ibc.nn.ObsEncoder` if None.
        network: F, over the action chunk; :class:`ibc.nn.sequence.FiLMMLP` if None.
        context_size: of what F is conditioned on.
        curvature: k; 1.4 is about the best linear gradient of :class:`ibc.losses.EquilibriumMatching`.
    """

    def __init__(
        self,
        encoder: ObsEncoder | None = None,
        network: SequenceNetwork | None = None,
        *,
        context_size: int = 256,
        curvature: float = 1.4,
    ) -> None:
        super().__init__(encoder)
        self.network = FiLMMLP() if network is None else network
        self.context_size = context_size
        self.curvature = curvature

    def build(self, spec: Spec) -> None:
        super().build(spec)
        self.network.build(spec.action_dim, spec.action_horizon, self.context_size)
        self.conditioned = SequenceContext(self.encoder.feature_size, self.context_size)

    def bind(self, obs: Obs) -> BoundSequenceEnergy:
        """The observation is encoded here, and never again."""
        observed = self.conditioned.dense_features(self.encoder(obs))
        context = self.conditioned(observed, observed.new_zeros(len(observed), 1))
        return BoundSequenceEnergy(self, self.network.modulations(context))


class BoundSequenceEnergy(BoundNetworkEnergy):
    """A :class:`SequenceEnergy` with its observation bound."""

    def __init__(self, energy: SequenceEnergy, modulations: Sequence[Tensor]) -> None:
        self.energy = energy
        self.bounds: ActionBounds = energy.bounds
        self.modulations = modulations

    def unit_energy(self, unit: Float[Tensor, "B N A"]) -> Float[Tensor, "B N"]:
        inner = unit * self.energy.network(unit, self.modulations)
        bowl = self.energy.curvature * unit.square() / 2
        energy: Tensor = (bowl - inner).sum(-1)
        return energy
