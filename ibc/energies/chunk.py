"""Energies made of networks over action chunks, without noise levels and with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field

from jaxtyping import Float
from torch import Tensor

from ibc.component import check_positive
from ibc.energies.base import BoundNetworkEnergy
from ibc.energies.network import NetworkEnergy, noise_levels
from ibc.nn.sequence import FiLMMLP, SequenceContext, SequenceNetwork, noise_number, scale_noisy
from ibc.spec import Obs, Spec

#: Noise levels of a search that visits those of the energy.
NUM_LEVELS = 10


@dataclass(eq=False, repr=False)
class ChunkEnergy(NetworkEnergy):
    """An energy made of a network over action chunks.

    Args:
        encoder: as for :class:`NetworkEnergy`.
        network: F, over the action chunk; :class:`ibc.nn.sequence.FiLMMLP` by default.
        context_size: of what F is conditioned on.
    """

    network: SequenceNetwork = field(default_factory=FiLMMLP)
    _: KW_ONLY
    context_size: int = 256

    def build(self, spec: Spec) -> None:
        super().build(spec)
        self.network.build(spec.action_dim, spec.action_horizon, self.context_size)
        self.conditioned = SequenceContext(self.encoder.feature_size, self.context_size)


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
        self.bounds = energy.bounds
        self.modulations = modulations

    def unit_energy(self, unit: Float[Tensor, "B N A"]) -> Float[Tensor, "B N"]:
        inner = unit * self.energy.network(unit, self.modulations)
        bowl = self.energy.curvature * unit.square() / 2
        energy: Tensor = (bowl - inner).sum(-1)
        return energy

    def unit_gradient(self, unit: Float[Tensor, "B N A"]) -> Float[Tensor, "B N A"]:
        out, back = self.energy.network.output_and_transposed(unit, self.modulations, unit)
        return self.energy.curvature * unit - out - back


@dataclass(eq=False, repr=False, kw_only=True)
class PreconditionedEnergy(ChunkEnergy):
    """``U = s^2 |x|^2 / (2 (s^2 + d^2)) - s d <c x, F(c x; o, s)>`` with noise level s and data deviation d.

    F is a network that is zero before training, and ``c = 1 / sqrt(s^2 + d^2)``. ``dU/dx`` is learned to be
    ``x - E[demonstrated action | x, s, o]``, as by :class:`NoiseConditionedEnergy`, so ``U / s^2`` is the energy of the
    demonstrations blurred by s. With F = 0, the denoiser ``x - dU/dx = x d^2 / (s^2 + d^2)`` is the best linear one at
    every level: the preconditioning of Karras et al. 2022 (section 5), for an energy instead of a vector field. An
    energy that reconstructs its input does not start there: the Jacobian of its network cancels the gradient first.

    Args:
        encoder, network, context_size: as for :class:`ChunkEnergy`.
        min_std, max_std: the range of noise levels in the unit cube; the largest one hides the action.
        data_std: d, the standard deviation of actions in the unit cube.

    Raises:
        ValueError: levels that do not increase.
        UserError: the deviation is not positive.
    """

    min_std: float = 0.01
    max_std: float = 4.0
    data_std: float = 0.5

    def __post_init__(self) -> None:
        check_positive(self, "data_std")
        self.sigmas = noise_levels(self.min_std, self.max_std, NUM_LEVELS)

    def bind(self, obs: Obs) -> BoundPreconditioned:
        """The observation is encoded here, and never again."""
        observed = self.conditioned.dense_features(self.encoder(obs))
        return self.bind_levels(
            observed, observed.new_full((1, len(observed), 1), self.sigmas[-1])
        )[0]

    def bind_levels(
        self, observed: Float[Tensor, "B C"], sigmas: Float[Tensor, "L B 1"]
    ) -> list[BoundPreconditioned]:
        """Bind features of observations at each of L noise levels, with one pass for what depends on the levels."""
        context = self.conditioned(
            observed.repeat(len(sigmas), 1), noise_number(sigmas.flatten(0, 1))
        )
        modulations = [m.chunk(len(sigmas)) for m in self.network.modulations(context)]
        return [
            BoundPreconditioned(self, observed, sigma, chosen)
            for sigma, *chosen in zip(sigmas, *modulations, strict=True)
        ]


@dataclass(eq=False)
class BoundPreconditioned(BoundNetworkEnergy):
    """A :class:`PreconditionedEnergy` with its observation bound, at one noise level of each batch item.

    Args:
        energy: with its weights.
        observed: features of the observations (B, C).
        sigma: noise levels (B, 1).
        modulations: of the network, for these observations and levels.
    """

    energy: PreconditionedEnergy
    observed: Float[Tensor, "B C"]
    sigma: Float[Tensor, "B 1"]
    modulations: Sequence[Tensor]

    def __post_init__(self) -> None:
        self.bounds = self.energy.bounds
        self.sigmas = self.energy.sigmas

    def at(self, sigma: Float[Tensor, "B 1"], /) -> BoundPreconditioned:
        return self.energy.bind_levels(self.observed, sigma.unsqueeze(0))[0]

    def at_each(self, sigmas: Float[Tensor, "L B 1"], /) -> list[BoundPreconditioned]:
        return self.energy.bind_levels(self.observed, sigmas)

    def unit_energy(self, unit: Float[Tensor, "B N A"]) -> Float[Tensor, "B N"]:
        scaled = scale_noisy(unit, self.sigma, self.energy.data_std)
        inner: Tensor = (scaled * self.energy.network(scaled, self.modulations)).sum(-1)
        linear = self.sigma.square() * scaled.square().sum(-1) / 2
        return linear - self.sigma * self.energy.data_std * inner

    def unit_gradient(self, unit: Float[Tensor, "B N A"]) -> Float[Tensor, "B N A"]:
        scaled = scale_noisy(unit, self.sigma, self.energy.data_std)
        out, back = self.energy.network.output_and_transposed(scaled, self.modulations, scaled)
        sigma = self.sigma.unsqueeze(1)
        slope = sigma.square() * scaled - sigma * self.energy.data_std * (out + back)
        return scale_noisy(slope, self.sigma, self.energy.data_std)
