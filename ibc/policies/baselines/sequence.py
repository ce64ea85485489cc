"""What policies with a network over action chunks share."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from ibc.nn import ObsEncoder
from ibc.nn.sequence import FiLMMLP, SequenceContext, SequenceNetwork
from ibc.policies.baselines.base import ExplicitPolicy
from ibc.spec import Obs, Spec


class SequencePolicy(ExplicitPolicy):
    """A network over chunks, conditioned on an observation and a number.

    Energies use the same networks and contexts (:class:`ibc.energies.PreconditionedEnergy`).

    Args:
        encoder: of observations; :func:`ibc.nn.default_encoder` if None.
        network: over the action chunk; :class:`ibc.nn.sequence.FiLMMLP` if None.
        context_size: of what the network is conditioned on.
    """

    def __init__(
        self,
        spec: Spec,
        encoder: ObsEncoder | None = None,
        network: SequenceNetwork | None = None,
        *,
        context_size: int = 256,
    ) -> None:
        super().__init__(spec, encoder)
        self.network = FiLMMLP() if network is None else network
        self.network.build(spec.action_dim, spec.action_horizon, context_size)
        self.conditioned = SequenceContext(self.encoder.feature_size, context_size)

    def bind_network(self, obs: Obs) -> Callable[[Tensor, Tensor], Tensor]:
        """Return the network for the observations: chunks (B, N, A) and numbers (B, 1) to outputs (B, N, A)."""
        observed = self.conditioned.dense_features(self.encoder(obs))

        def network(chunk: Tensor, number: Tensor) -> Tensor:
            modulations = self.network.modulations(self.conditioned(observed, number))
            out: Tensor = self.network(chunk, modulations)
            return out

        return network
