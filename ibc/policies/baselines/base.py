"""What explicit policies share: an encoder and a residual MLP."""

from __future__ import annotations

from ibc.nn import ActionBounds, ObsEncoder, ResidualMLP
from ibc.policies.base import Policy, Statistics, fit_statistics
from ibc.spec import Spec


class ExplicitPolicy(Policy):
    """A residual MLP from observation features, and ``in_size`` numbers more, to ``out_size`` numbers.

    Args:
        encoder: of observations; :class:`ibc.nn.ObsEncoder` if None.
        width, num_blocks, dropout: of the residual MLP.
    """

    def __init__(
        self,
        spec: Spec,
        encoder: ObsEncoder | None,
        *,
        out_size: int,
        width: int,
        num_blocks: int,
        dropout: float,
        in_size: int = 0,
    ) -> None:
        super().__init__(spec)
        self.encoder = ObsEncoder() if encoder is None else encoder
        self.encoder.build(spec)
        self.bounds = ActionBounds(spec.action_size)
        self.width = width
        self.num_blocks = num_blocks
        self.dropout = dropout
        self.network = ResidualMLP(
            self.encoder.feature_size + in_size,
            out_size,
            width=width,
            num_blocks=num_blocks,
            dropout=dropout,
        )

    def fit(self, dataset: Statistics) -> None:
        """See :class:`Policy`."""
        fit_statistics(self.spec, dataset, self.encoder, self.bounds)
