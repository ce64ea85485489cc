"""What the benchmark times: the same work done by this project and by the plain implementation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ibc.energies import MLPEnergy
from ibc.losses import GradientPenalty, InfoNCE
from ibc.losses.negatives import SampledNegatives, UniformNegatives
from ibc.nn import ConvMaxPool, ObsEncoder
from ibc.policies import ImplicitPolicy
from ibc.random import BatchRandom
from ibc.samplers import DFO, IBCLangevin, Sampler
from ibc.spec import Batch, ObsField, Spec

#: Names of the workloads, as the published configurations have them (google-research/ibc, ``ibc/configs/particle``):
#: a training step and an action, with derivative-free optimization and with Langevin chains in 2 and 16 dimensions.
NAMES = ("W1", "W2", "W3_2d", "W3_16d", "W4_2d", "W4_16d")

BATCH, OBS_SIZE = 512, 20
DFO_CANDIDATES, DFO_ITERATIONS, UNIFORM_NEGATIVES = 16384, 3, 256
LANGEVIN_CANDIDATES, LANGEVIN_ITERATIONS, LANGEVIN_NEGATIVES = 512, 100, 8
STEP_INIT, STEP_FINAL = 0.1, 1e-5


@dataclass(frozen=True)
class Workload:
    """One piece of work, done twice.

    Attributes:
        fast, plain: do it once, by this project and by the plain implementation.
        products: floating point operations in the plain implementation's dense layers.
    """

    fast: Callable[[], Any]
    plain: Callable[[], Any]
    products: float


def make_workload(name: str, plain: Any) -> Workload:
    """The workload of that name; ``plain`` is the module of the plain implementation."""
    torch.manual_seed(0)
    size = 16 if name.endswith("16d") else 2
    if name in {"W1", "W2"}:
        pair = Pair(plain, size, width=128, num_blocks=4)
        return pair.dfo_step() if name == "W1" else pair.dfo_action()
    pair = Pair(plain, size, width=256, num_blocks=1)
    return pair.langevin_step() if name.startswith("W3") else pair.langevin_action()


class Pair:
    """Two energies with the same weights, and what is asked of them."""

    def __init__(self, plain: Any, size: int, *, width: int, num_blocks: int) -> None:
        spec = Spec(
            obs={"state": ObsField((OBS_SIZE,), "float32")},
            obs_horizon=1,
            action_dim=size,
            action_horizon=1,
            action_low=(-1.0,) * size,
            action_high=(1.0,) * size,
        )
        self.module = plain
        self.policy = ImplicitPolicy(
            spec,
            energy=lambda s: MLPEnergy(
                s,
                encoder=lambda t: ObsEncoder(t, image_encoder=ConvMaxPool),
                width=width,
                num_blocks=num_blocks,
            ),
            sampler=langevin(),
        )
        self.plain: nn.Module = plain.PlainEnergy(
            OBS_SIZE, size, width=width, num_blocks=num_blocks
        )
        assert isinstance(self.policy.energy, MLPEnergy)
        copy_weights(self.policy.energy, self.plain)
        self.generator = torch.Generator().manual_seed(0)
        self.rng = BatchRandom(self.generator)
        self.low, self.high = -torch.ones(size), torch.ones(size)
        self.obs = torch.randn(BATCH, OBS_SIZE)
        self.action = torch.rand(BATCH, size) * 2 - 1
        #: Of one candidate once through the network.
        self.products = 2.0 * (2 * num_blocks * width**2 + (OBS_SIZE + size + 1) * width)

    def dfo_step(self) -> Workload:
        """InfoNCE with uniform negatives, forward, backward, Adam."""
        plain, count = self.module, UNIFORM_NEGATIVES

        def plain_loss() -> Tensor:
            spread = torch.rand(BATCH, count, len(self.low), generator=self.generator)
            negatives = self.low + (self.high - self.low) * spread
            loss: Tensor = plain.plain_info_nce(self.plain, self.obs, self.action, negatives)
            return loss

        loss = InfoNCE(negatives=[UniformNegatives(count)])
        products = 3 * BATCH * (1 + count) * self.products
        return self._steps(loss, plain_loss, products)

    def langevin_step(self) -> Workload:
        """InfoNCE with negatives from a chain, and the gradient penalty."""
        plain, count = self.module, LANGEVIN_NEGATIVES

        def plain_loss() -> Tensor:
            spread = torch.rand(BATCH, count, len(self.low), generator=self.generator)
            negatives = self._plain_chain(self.obs, self.low + (self.high - self.low) * spread)
            loss: Tensor = plain.plain_info_nce(self.plain, self.obs, self.action, negatives)
            candidates = torch.cat([self.action.unsqueeze(1), negatives], dim=1)
            penalty: Tensor = plain.plain_gradient_penalty(self.plain, self.obs, candidates)
            return loss + penalty

        negatives = SampledNegatives(count, langevin(count))
        loss = InfoNCE(negatives=[negatives], gradient_penalty=GradientPenalty())
        chain = 2 * LANGEVIN_ITERATIONS * BATCH * count
        return self._steps(loss, plain_loss, (chain + 9 * BATCH * (1 + count)) * self.products)

    def dfo_action(self) -> Workload:
        """One action by DFO."""
        self.policy.sampler = DFO(
            num_candidates=DFO_CANDIDATES, num_iterations=DFO_ITERATIONS, noise_std=0.33, shrink=0.5
        )

        def plain_action() -> Tensor:
            action: Tensor = self.module.plain_dfo(
                self.plain,
                self.obs[:1],
                low=self.low,
                high=self.high,
                num_candidates=DFO_CANDIDATES,
                num_iterations=DFO_ITERATIONS,
                std=0.33,
                shrink=0.5,
                generator=self.generator,
            )
            return action

        return self._action(plain_action, DFO_CANDIDATES * DFO_ITERATIONS)

    def langevin_action(self) -> Workload:
        """One action by a Langevin chain."""
        self.policy.sampler = langevin()

        def plain_action() -> Tensor:
            spread = torch.rand(1, LANGEVIN_CANDIDATES, len(self.low), generator=self.generator)
            obs = self.obs[:1]
            found = self._plain_chain(obs, self.low + (self.high - self.low) * spread)
            with torch.no_grad():
                return found[0, self.plain(obs, found)[0].argmin()]

        return self._action(plain_action, LANGEVIN_CANDIDATES * (2 * LANGEVIN_ITERATIONS + 1))

    def _plain_chain(self, obs: Tensor, init: Tensor) -> Tensor:
        found: Tensor = self.module.plain_langevin(
            self.plain,
            obs,
            init,
            low=self.low,
            high=self.high,
            num_iterations=LANGEVIN_ITERATIONS,
            step_init=STEP_INIT,
            step_final=STEP_FINAL,
            generator=self.generator,
        )
        return found

    def _action(self, plain_action: Callable[[], Tensor], candidates: int) -> Workload:
        obs = {"state": self.obs[:1].unsqueeze(1)}
        return Workload(
            fast=lambda: self.policy.act(obs, self.rng),
            plain=plain_action,
            products=candidates * self.products,
        )

    def _steps(self, loss: InfoNCE, plain_loss: Callable[[], Tensor], products: float) -> Workload:
        batch = Batch({"state": self.obs.unsqueeze(1)}, self.action)
        fast_optimizer = torch.optim.Adam(self.policy.parameters())
        plain_optimizer = torch.optim.Adam(self.plain.parameters())

        def step(value: Tensor, optimizer: torch.optim.Optimizer) -> None:
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(value)
            optimizer.step()

        return Workload(
            fast=lambda: step(loss(self.policy, batch, self.rng)[0], fast_optimizer),
            plain=lambda: step(plain_loss(), plain_optimizer),
            products=products,
        )


def langevin(num_candidates: int = LANGEVIN_CANDIDATES) -> Sampler:
    """The chain of the published particle configuration."""
    return IBCLangevin(
        num_candidates=num_candidates,
        num_iterations=LANGEVIN_ITERATIONS,
        step_init=STEP_INIT,
        step_final=STEP_FINAL,
    )


@torch.no_grad()
def copy_weights(energy: MLPEnergy, plain: Any) -> None:
    """Give the plain energy the weights of ours, whose first layer is split between features and action."""
    head = energy.head
    split = (head.dense_features.weight, head.dense_action.weight)
    plain.dense_in.weight.copy_(torch.cat(split, dim=1))
    plain.dense_in.bias.copy_(head.dense_features.bias)
    plain.blocks.load_state_dict(head.blocks.state_dict())
    plain.dense_out.load_state_dict(head.dense_out.state_dict())
