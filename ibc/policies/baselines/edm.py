"""A diffusion policy with the preconditioning of Karras et al. 2022."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from ibc.component import check_positive
from ibc.errors import UserError
from ibc.nn import ObsEncoder
from ibc.nn.sequence import SequenceNetwork, noise_number, scale_noisy
from ibc.policies.baselines.sequence import SequencePolicy
from ibc.random import RandomSource
from ibc.samplers.probability_flow import karras_levels
from ibc.spec import Obs, Spec


class EDMPolicy(SequencePolicy):
    """``D(x) = c_skip x + c_out F(c_in x)``, the denoised action, followed from noise by Euler steps.

    The same network, noise levels and search as :class:`ibc.energies.PreconditionedEnergy` with
    :class:`ibc.samplers.ProbabilityFlow`, without an energy: what differs between them is the principle.

    Args:
        encoder, network, context_size, min_std, max_std, data_std: as of the energy.
        num_steps: evaluations of the network in each decision.
    """

    def __init__(
        self,
        spec: Spec,
        encoder: ObsEncoder | None = None,
        network: SequenceNetwork | None = None,
        *,
        context_size: int = 256,
        min_std: float = 0.01,
        max_std: float = 4.0,
        data_std: float = 0.5,
        num_steps: int = 10,
    ) -> None:
        super().__init__(spec, encoder, network, context_size=context_size)
        self.min_std, self.max_std, self.data_std = min_std, max_std, data_std
        self.num_steps = num_steps
        check_positive(self, "min_std", "data_std", "num_steps")
        if min_std >= max_std:
            raise UserError(f"min_std={min_std}; it must be below max_std={max_std}")

    def bind_denoiser(self, obs: Obs) -> Callable[[Tensor, Tensor], Tensor]:
        """Return the denoiser for the observations: noisy (B, N, A) and levels (B, 1) to denoised (B, N, A)."""
        network = self.bind_network(obs)

        def denoise(noisy: Tensor, sigma: Tensor) -> Tensor:
            out = network(scale_noisy(noisy, sigma, self.data_std), noise_number(sigma))
            sigma = sigma.unsqueeze(1)
            total = sigma.square() + self.data_std**2
            return self.data_std**2 / total * noisy + sigma * self.data_std * total.rsqrt() * out

        return denoise

    @torch.no_grad()
    def act_flat(self, obs: Obs, rng: RandomSource) -> Float[Tensor, "B A"]:
        denoise = self.bind_denoiser(obs)
        batch = len(next(iter(obs.values())))
        levels = [*karras_levels(self.max_std, self.min_std, self.num_steps), 0.0]
        unit = levels[0] * rng.normal(batch, 1, self.spec.action_size)
        for now, then in pairwise(levels):
            clean = denoise(unit, unit.new_full((batch, 1), now))
            unit = clean + then / now * (unit - clean)
        return self.bounds.from_unit(self.bounds.clamp_unit(unit.squeeze(1)))
