"""The energy network: encode the observation once, compare many actions with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from ibc.energies.base import Energy, EnergyFn
from ibc.nn import ActionBounds, EnergyHead, ObsEncoder
from ibc.types import Obs, Spec


class LearnedEnergy(Energy):
    """A late-fused residual energy network (IBC paper, appendix B.3 and D; ``MLPEBM`` of the official code).

    Actions are scaled to the unit cube by ``bounds`` before they enter the network. ``num_residuals`` and
    ``self_consistent`` are explained at :class:`EnergyHead`. ``spectral_norm`` bounds the Lipschitz constant of every
    dense layer, which steadies Langevin sampling on small data sets.
    """

    def __init__(
        self,
        spec: Spec,
        *,
        encoder: Callable[[Spec], ObsEncoder],
        width: int,
        num_blocks: int,
        num_residuals: int = 0,
        self_consistent: bool = False,
        spectral_norm: bool = False,
    ) -> None:
        super().__init__()
        self.encoder = encoder(spec)
        self.bounds = ActionBounds(spec.action_size)
        self.head = EnergyHead(
            self.encoder.feature_size,
            spec.action_size,
            width=width,
            num_blocks=num_blocks,
            num_residuals=num_residuals,
            self_consistent=self_consistent,
            normed=spectral_norm,
        )

    def bind(self, obs: Obs) -> EnergyFn:
        """The observation goes through encoder and first layer here, and never again."""
        context = self.head.dense_features(self.encoder(obs)).unsqueeze(1)
        return BoundEnergy(self.head, self.bounds, context)


@dataclass(frozen=True)
class BoundEnergy:
    """A :class:`LearnedEnergy` with its observation bound; the one home of whatever makes it fast."""

    head: EnergyHead
    bounds: ActionBounds
    context: Float[Tensor, "B 1 W"]

    def __call__(self, action: Float[Tensor, "B N A"], /) -> Float[Tensor, "B N"]:
        """Energies of candidates in environment units."""
        energy: Tensor = self.head(self.context, self.bounds.to_unit(action))
        return energy

    def action_gradient(self, action: Float[Tensor, "B N A"], /) -> Float[Tensor, "B N A"]:
        """``dE/da`` in environment units, detached."""
        unit = self.bounds.to_unit(action)
        return self.head.action_gradient(self.context.detach(), unit) / self.bounds.half_range
