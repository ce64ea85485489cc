"""Denoising with the noise levels and weights of Karras et al. 2022, for energies and for diffusion policies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ibc.losses.base import Loss, LossAndMetrics, bind, required
from ibc.random import RandomSource
from ibc.spec import Batch

#: Mean and standard deviation of the logarithm of the noise level (Karras et al. 2022, table 1).
LOG_MEAN, LOG_STD = -1.2, 1.2


@dataclass(eq=False, kw_only=True)
class EDMScoreMatching(Loss):
    """``|dU(o, y, s)/dy - (y - a)|^2 (s^2 + d^2) / (s d)^2`` for ``y = a + s xi``, s log-normal, in the unit cube.

    Denoising score matching (Vincent 2011) of an energy that has noise levels and a ``data_std`` d
    (:class:`ibc.energies.PreconditionedEnergy`). With these weights the network sees errors of size one at every level
    before training, and most examples at levels where there is something to learn.
    """

    def __call__(self, policy: Any, batch: Batch, rng: RandomSource) -> LossAndMetrics:
        space, action = bind(self, policy, batch)
        need = "noise levels and a data_std (policy=implicit_preconditioned)"
        data_std = required(self, policy.energy, "data_std", need).data_std

        def displacement(noisy: Tensor, std: Tensor) -> Tensor:
            return space.at(std).gradient(noisy, create_graph=True)

        return weighted_loss(displacement, action, data_std, rng)


@dataclass(eq=False, kw_only=True)
class EDMDenoising(Loss):
    """The same for a policy that predicts the noise-free action: :class:`ibc.policies.EDMPolicy`."""

    def __call__(self, policy: Any, batch: Batch, rng: RandomSource) -> LossAndMetrics:
        policy = required(self, policy, "bind_denoiser", "a denoiser (policy=edm)")
        denoise = policy.bind_denoiser(batch.obs)
        action = policy.bounds.to_unit(batch.action).unsqueeze(1)
        return weighted_loss(lambda y, std: y - denoise(y, std), action, policy.data_std, rng)


def weighted_loss(
    displacement: Callable[[Tensor, Tensor], Tensor],
    action: Tensor,
    data_std: float,
    rng: RandomSource,
) -> LossAndMetrics:
    """Compute the loss of ``displacement(y, s)``, which is learned to be ``y - a``.

    Args:
        displacement: of noisy actions (B, 1, A) at noise levels (B, 1).
        action: demonstrated (B, 1, A), in the unit cube.
        data_std: d.
        rng: of noise levels and noise.
    """
    std = torch.exp(LOG_MEAN + LOG_STD * rng.normal(len(action), 1))
    shift = std.unsqueeze(1) * rng.normal(*action.shape)
    error = displacement(action + shift, std) - shift
    weight = (std**-2 + data_std**-2).unsqueeze(1)
    loss = (weight * error.square()).mean()
    return loss, {"denoising": loss.detach()}
