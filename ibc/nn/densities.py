"""Conditional densities of actions that can be drawn from and evaluated: proposals for energies."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ibc.nn.mlp import ResidualMLP
from ibc.nn.module import Module
from ibc.random import RandomSource

#: Standard deviations stay within these limits (unit cube). The lower one bounds the likelihood of data that repeat an
#: action exactly, which is where mixture densities otherwise run to infinity.
MIN_STD, MAX_STD = 1e-3, 10.0
#: A Gaussian around data is so much wider than the data: a proposal must not have thinner tails than what it serves.
WIDER = 1.5


class ConditionalDensity(Module, ABC):
    """A density of unit-cube actions given an observation's features."""

    @abstractmethod
    def build(self, feature_size: int, action_size: int) -> None:
        """Make parameters and buffers for F features and A action numbers."""

    def fit(self, unit_action: Float[Tensor, "M A"]) -> None:
        """One pass over demonstrated actions before any gradient; most densities need none."""

    @abstractmethod
    def log_prob(
        self, features: Float[Tensor, "B F"], unit_action: Float[Tensor, "B N A"]
    ) -> Float[Tensor, "B N"]:
        """Log density; differentiable in the parameters."""

    @abstractmethod
    def sample(
        self, features: Float[Tensor, "B F"], count: int, rng: RandomSource
    ) -> Float[Tensor, "B N A"]:
        """Detached draws."""


@dataclass(frozen=True)
class BoundDensity:
    """A density with its observation bound."""

    density: ConditionalDensity
    features: Float[Tensor, "B F"]

    def log_prob(self, unit_action: Float[Tensor, "B N A"]) -> Float[Tensor, "B N"]:
        """Compute the log density of candidates."""
        return self.density.log_prob(self.features, unit_action)

    def sample(self, count: int, rng: RandomSource) -> Float[Tensor, "B N A"]:
        """Draw candidates, detached."""
        return self.density.sample(self.features, count, rng)


class GaussianDensity(ConditionalDensity):
    """A Gaussian around all demonstrated actions, whatever is observed, ``WIDER`` than they are spread."""

    mean: Tensor
    std: Tensor

    def build(self, feature_size: int, action_size: int) -> None:
        self.register_buffer("mean", torch.zeros(action_size))
        self.register_buffer("std", torch.ones(action_size))

    def fit(self, unit_action: Float[Tensor, "M A"]) -> None:
        self.mean.copy_(unit_action.mean(0))
        self.std.copy_(WIDER * unit_action.std(0, correction=0).clamp(min=MIN_STD))

    def log_prob(self, features: Tensor, unit_action: Tensor) -> Tensor:
        z = (unit_action - self.mean) / self.std
        return (-0.5 * z.square() - self.std.log() - 0.5 * math.log(2 * math.pi)).sum(-1)

    def sample(self, features: Tensor, count: int, rng: RandomSource) -> Tensor:
        return self.mean + self.std * rng.normal(len(features), count, len(self.mean))


@dataclass(eq=False, repr=False, kw_only=True)
class MixtureDensity(ConditionalDensity):
    """A mixture of diagonal Gaussians (Bishop 1994), whose parameters are a network's outputs."""

    num_components: int = 8
    width: int = 128
    num_blocks: int = 1

    def build(self, feature_size: int, action_size: int) -> None:
        self.network = ResidualMLP(
            feature_size,
            self.num_components * (1 + 2 * action_size),
            width=self.width,
            num_blocks=self.num_blocks,
        )

    def log_prob(self, features: Tensor, unit_action: Tensor) -> Tensor:
        return mixture_log_prob(
            *split_mixture(self.network(features), self.num_components), unit_action
        )

    @torch.no_grad()
    def sample(self, features: Tensor, count: int, rng: RandomSource) -> Tensor:
        log_weight, mean, log_std = split_mixture(self.network(features), self.num_components)
        cdf = log_weight.double().exp().cumsum(-1)
        uniform = rng.uniform(len(cdf), count).double() * cdf[:, -1:]
        which = torch.searchsorted(cdf, uniform).clamp_(max=self.num_components - 1)
        index = which.unsqueeze(-1).expand(-1, -1, mean.shape[-1])
        spread = log_std.gather(1, index).exp()
        return mean.gather(1, index) + spread * rng.normal(*index.shape)


def split_mixture(
    out: Float[Tensor, "B O"], num_components: int
) -> tuple[Float[Tensor, "B K"], Float[Tensor, "B K A"], Float[Tensor, "B K A"]]:
    """Log weights, means and log standard deviations from a network's outputs."""
    size = (out.shape[-1] // num_components - 1) // 2
    logits, mean, raw = torch.split(
        out, [num_components, num_components * size, num_components * size], dim=-1
    )
    # Smooth limits keep a gradient where a hard clamp would have none.
    low, high = math.log(MIN_STD), math.log(MAX_STD)
    log_std = low + (high - low) * torch.sigmoid(raw)
    shape = (len(out), num_components, size)
    return torch.log_softmax(logits, -1), mean.reshape(shape), log_std.reshape(shape)


def mixture_log_prob(
    log_weight: Float[Tensor, "B K"],
    mean: Float[Tensor, "B K A"],
    log_std: Float[Tensor, "B K A"],
    action: Float[Tensor, "B N A"],
) -> Float[Tensor, "B N"]:
    """``log sum_k w_k N(a; mean_k, diag(std_k^2))``, by log-sum-exp throughout."""
    log_std = log_std.unsqueeze(1)
    z = (action.unsqueeze(2) - mean.unsqueeze(1)) * torch.exp(-log_std)
    log_density = -0.5 * z.square() - log_std - 0.5 * math.log(2 * math.pi)
    return torch.logsumexp(log_weight.unsqueeze(1) + log_density.sum(-1), dim=-1)
