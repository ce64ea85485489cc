"""An energy of action chunks without noise levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from ibc.energies.base import BoundNetworkEnergy
from ibc.energies.network import ChunkEnergy
from ibc.nn import ActionBounds
from ibc.spec import Obs


@dataclass(eq=False, repr=False, kw_only=True)
class SequenceEnergy(ChunkEnergy):
    """``E = k |x|^2 / 2 - <x, F(x; o)>``: a quadratic bowl and a network that is zero before training.

    The noise-free relative of :class:`PreconditionedEnergy`: its gradient starts as the linear function ``k x``, which
    the network reshapes (the scalar energy of equilibrium matching, Wang and Du 2025).

    Args:
        encoder, network, context_size: as for :class:`ChunkEnergy`.
        curvature: k; 1.4 is about the best linear gradient of :class:`ibc.losses.EquilibriumMatching`.
    """

    curvature: float = 1.4

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
