"""The energy network: encode the observation once, compare many actions with it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor

from ibc.device import reduced_precision
from ibc.energies.base import BoundNetworkEnergy
from ibc.energies.network import NetworkEnergy
from ibc.nn import ActionBounds, EnergyHead, ObsEncoder, ResidualMLP, default_encoder
from ibc.nn.densities import BoundDensity, ConditionalDensity
from ibc.nn.energy_head import HeadWeights
from ibc.spec import Obs, Spec


class MLPEnergy(NetworkEnergy):
    """A late-fused residual energy network (IBC paper, appendix B.3 and D; ``MLPEBM`` of the official code).

    Actions are scaled to the unit cube by ``bounds`` before they enter the network.

    Args:
        encoder: of observations; :func:`ibc.nn.default_encoder` if None.
        width, num_blocks: of the residual MLP; a block has two dense layers.
        head: ``scalar``, ``quadratic`` or ``reconstruction``, see :class:`ibc.nn.EnergyHead`.
        num_outputs: of a quadratic head.
        proposal: whether a second head predicts an action from the observation alone, by a loss of its own
            (:class:`ibc.losses.MSE`) or beside the energy (:class:`ibc.losses.DenoisingScoreMatching`).
        relative: whether the energy sees actions relative to the proposal. If not, it is learned from features that the
            energy alone shapes.
        balanced: whether the weights of long actions start small, see :class:`ibc.nn.EnergyHead`.
        spectral_norm: bound the Lipschitz constant of every dense layer of the head.
        density: a proposal density, from which :class:`ibc.losses.RankingNCE` draws negatives and a policy the first
            candidates.
    """

    #: Numbers that the head sees beside the features of an observation.
    level_size = 0

    def __init__(
        self,
        encoder: ObsEncoder | None = None,
        *,
        width: int = 256,
        num_blocks: int = 1,
        head: str = "reconstruction",
        num_outputs: int = 32,
        proposal: bool = False,
        relative: bool = True,
        balanced: bool = False,
        spectral_norm: bool = False,
        density: ConditionalDensity | None = None,
    ) -> None:
        super().__init__(default_encoder() if encoder is None else encoder)
        self.width = width
        self.num_blocks = num_blocks
        self.head_kind = head
        self.num_outputs = num_outputs
        self.has_proposal = proposal
        self.relative = relative
        self.balanced = balanced
        self.spectral_norm = spectral_norm
        self.density = density

    def build(self, spec: Spec) -> None:
        super().build(spec)
        features = self.encoder.feature_size
        self.head = EnergyHead(
            features + self.level_size,
            spec.action_size,
            width=self.width,
            num_blocks=self.num_blocks,
            kind=self.head_kind,
            num_outputs=self.num_outputs,
            normed=self.spectral_norm,
            balanced=self.balanced,
        )
        self.proposal = (
            ResidualMLP(features, spec.action_size, width=self.width, num_blocks=self.num_blocks)
            if self.has_proposal
            else None
        )
        if self.density is not None:
            self.density.build(features, spec.action_size)

    def fit_actions(self, unit_action: Float[Tensor, "M A"]) -> None:
        if self.density is not None:
            self.density.fit(unit_action)

    def bind(self, obs: Obs) -> BoundNetworkEnergy:
        """The observation goes through encoder and first layer here, and never again."""
        features = self.encoder(obs)
        context = self.head.dense_features(features).unsqueeze(1)
        proposal = None
        if self.proposal is not None:
            seen = features if self.relative else features.detach()
            proposal = self.proposal(seen).unsqueeze(1)
        density = None if self.density is None else BoundDensity(self.density, features)
        reduced = reduced_precision()
        weights = self.head.weights()
        return BoundMLPEnergy(
            weights, self.bounds, context, proposal, reduced, self.relative, density
        )


@dataclass(eq=False)
class BoundMLPEnergy(BoundNetworkEnergy):
    """A :class:`MLPEnergy` with its observation bound.

    Without gradients, energies are exact to the precision of the weights; :meth:`low_precision` computes the residual
    blocks in ``reduced`` precision. For training, energies are computed in ``reduced`` precision too, and gradients by
    the action exactly.

    Attributes:
        proposal: the predicted action (B, 1, A) in the unit cube, differentiable; None for energies without one.
        relative: whether the network sees actions relative to the proposal.
        density: of proposals, differentiable; None for energies without one.
    """

    weights: HeadWeights
    bounds: ActionBounds = field()  # required, although the base class has a default
    context: Float[Tensor, "B 1 W"]
    proposal: Float[Tensor, "B 1 A"] | None = None
    reduced: torch.dtype | None = None
    relative: bool = True
    density: BoundDensity | None = None

    def __post_init__(self) -> None:
        is_trained = torch.is_grad_enabled()
        self.training_weights = self.weights.to(self.reduced) if is_trained else self.weights

    def unit_energy(self, unit: Float[Tensor, "B N A"]) -> Float[Tensor, "B N"]:
        weights = self.training_weights if torch.is_grad_enabled() else self.weights
        return weights.energy(self.context, self._relative(unit))

    def unit_gradient(self, unit: Float[Tensor, "B N A"]) -> Float[Tensor, "B N A"]:
        return self.weights.gradient(self.context, self._relative(unit))

    def low_precision(self) -> BoundMLPEnergy:
        if self.reduced is None:
            return self
        weights = self.weights.to(self.reduced)
        return replace(self, weights=weights, reduced=None)

    def _relative(self, unit: Float[Tensor, "B N A"]) -> Float[Tensor, "B N A"]:
        if self.proposal is None or not self.relative:
            return unit
        return unit - self.proposal.detach()
