"""What explicit policies share: an encoder of observations, and the unit cube of actions."""

from __future__ import annotations

from ibc.nn import ActionBounds, ObsEncoder, default_encoder
from ibc.policies.base import Policy, Statistics, fit_statistics
from ibc.spec import Spec


class ExplicitPolicy(Policy):
    """A policy that computes actions from the features of the observation.

    Args:
        encoder: of observations; :func:`ibc.nn.default_encoder` if None.
        width, num_blocks, dropout: of the residual MLP, where there is one.
    """

    def __init__(self, spec: Spec, encoder: ObsEncoder | None = None) -> None:
        super().__init__(spec)
        self.encoder = default_encoder() if encoder is None else encoder
        self.encoder.build(spec)
        self.bounds = ActionBounds(spec.action_size)

    def fit(self, dataset: Statistics) -> None:
        fit_statistics(self.spec, dataset, self.encoder, self.bounds)
