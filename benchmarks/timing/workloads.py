"""What the benchmark times: the same work done by this project and by the plain implementation."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.toys.one_step import one_step_spec
from ibc.energies import MLPEnergy
from ibc.losses import GradientPenalty, InfoNCE
from ibc.losses.negatives import SampledNegatives, UniformNegatives
from ibc.nn import ObsEncoder
from ibc.policies import ImplicitPolicy
from ibc.random import BatchRandom
from ibc.samplers import DFO, IBCLangevin, Sampler
from ibc.spec import Batch, ObsField
from ibc.threads import limit_threads
from ibc.training.gradient import Gradient
from ibc.training.recorded_step import RecordedStep
from ibc.training.share import Share

#: Names of the workloads, as the published configurations have them (google-research/ibc, ``ibc/configs/particle``):
#: a training step and an action, with derivative-free optimization and with Langevin chains in 2 and 16 dimensions.
NAMES = ("W1", "W2", "W3_2d", "W3_16d", "W4_2d", "W4_16d")

BATCH, OBS_SIZE = 512, 20
DFO_CANDIDATES, DFO_ITERATIONS, UNIFORM_NEGATIVES = 16384, 3, 256
LANGEVIN_CANDIDATES, LANGEVIN_ITERATIONS, LANGEVIN_NEGATIVES = 512, 100, 8
CHAIN: dict[str, Any] = {
    "num_iterations": LANGEVIN_ITERATIONS,
    "step_init": 0.1,
    "step_final": 1e-5,
}


@dataclass(frozen=True)
class Workload:
    """One piece of work, done twice.

    Attributes:
        fast, plain: do it once, by this project and by the plain implementation.
        recorded: the plain implementation as one CUDA graph; None on a CPU.
        products: floating point operations in the plain implementation's dense layers.
    """

    fast: Callable[[], Any]
    plain: Callable[[], Any]
    products: float
    recorded: Callable[[], Any] | None = None


def make_workload(name: str, plain: Any, device: torch.device) -> Workload:
    """The workload of that name on a device; ``plain`` is the module of the plain implementation."""
    torch.manual_seed(0)
    size = 16 if name.endswith("16d") else 2
    if name in {"W1", "W2"}:
        pair = Pair(plain, size, device, width=128, num_blocks=4)
        return pair.dfo_step() if name == "W1" else pair.dfo_action()
    pair = Pair(plain, size, device, width=256, num_blocks=1)
    return pair.langevin_step() if name.startswith("W3") else pair.langevin_action()


class Pair:
    """Two energies with the same weights, and the workloads of both."""

    def __init__(
        self, plain: Any, size: int, device: torch.device, *, width: int, num_blocks: int
    ) -> None:
        obs = ObsField((OBS_SIZE,), "float32")
        spec = one_step_spec("state", obs, [-1.0] * size, [1.0] * size)
        self.module = plain
        self.policy = ImplicitPolicy(
            spec,
            MLPEnergy(ObsEncoder(num_gates=0), width=width, num_blocks=num_blocks, head="scalar"),
            langevin(),
        ).to(device)
        self.plain: nn.Module = plain.PlainEnergy(
            OBS_SIZE, size, width=width, num_blocks=num_blocks
        ).to(device)
        assert isinstance(self.policy.energy, MLPEnergy)
        copy_weights(self.policy.energy, self.plain)
        self.device = device
        self.generator = torch.Generator(device).manual_seed(0)
        self.rng = BatchRandom(self.generator)
        self.low, self.high = -torch.ones(size, device=device), torch.ones(size, device=device)
        self.obs = torch.randn(BATCH, OBS_SIZE, device=device)
        self.action = torch.rand(BATCH, size, device=device) * 2 - 1
        #: Of one candidate once through the network.
        self.products = 2.0 * (2 * num_blocks * width**2 + (OBS_SIZE + size + 1) * width)

    def dfo_step(self) -> Workload:
        """InfoNCE with uniform negatives, forward, backward, Adam."""

        def plain_loss() -> Tensor:
            negatives = self.plain_uniform(BATCH, UNIFORM_NEGATIVES)
            return self._tensor("info_nce", self.obs, self.action, negatives)

        loss = InfoNCE(negatives=[UniformNegatives(UNIFORM_NEGATIVES)])
        products = 3 * BATCH * (1 + UNIFORM_NEGATIVES) * self.products
        return self._steps(loss, plain_loss, products)

    def langevin_step(self) -> Workload:
        """InfoNCE with negatives from a chain, and the gradient penalty."""
        count = LANGEVIN_NEGATIVES

        def plain_loss() -> Tensor:
            negatives = self._plain_chain(self.obs, self.plain_uniform(BATCH, count))
            candidates = torch.cat([self.action.unsqueeze(1), negatives], dim=1)
            loss = self._tensor("info_nce", self.obs, self.action, negatives)
            return loss + self._tensor("gradient_penalty", self.obs, candidates)

        negatives = SampledNegatives(count, langevin(count))
        loss = InfoNCE(negatives=[negatives], gradient_penalty=GradientPenalty())
        chain = 2 * LANGEVIN_ITERATIONS * BATCH * count
        return self._steps(loss, plain_loss, (chain + 9 * BATCH * (1 + count)) * self.products)

    def dfo_action(self) -> Workload:
        """One action by DFO."""
        common: dict[str, Any] = {
            "num_candidates": DFO_CANDIDATES,
            "num_iterations": DFO_ITERATIONS,
        }
        self.policy.sampler = DFO(**common, noise_std=0.33, shrink=0.5)

        def plain_action() -> Tensor:
            search = {**common, "std": 0.33, "shrink": 0.5, "generator": self.generator}
            return self._tensor("dfo", self.obs[:1], low=self.low, high=self.high, **search)

        return self._action(plain_action, DFO_CANDIDATES * DFO_ITERATIONS)

    def langevin_action(self) -> Workload:
        """One action by a Langevin chain."""
        self.policy.sampler = langevin()

        def plain_action() -> Tensor:
            obs = self.obs[:1]
            found = self._plain_chain(obs, self.plain_uniform(1, LANGEVIN_CANDIDATES))
            with torch.no_grad():
                return found[0, self.plain(obs, found)[0].argmin()]

        return self._action(plain_action, LANGEVIN_CANDIDATES * (2 * LANGEVIN_ITERATIONS + 1))

    def plain_uniform(self, batch: int, count: int) -> Tensor:
        """Uniform actions (batch, count, A)."""
        unit = torch.rand(batch, count, len(self.low), generator=self.generator, device=self.device)
        return self.low + (self.high - self.low) * unit

    def _tensor(self, name: str, *args: Any, **kwargs: Any) -> Tensor:
        """Call ``plain_<name>`` of the plain implementation on its energy."""
        found: Tensor = getattr(self.module, f"plain_{name}")(self.plain, *args, **kwargs)
        return found

    def _plain_chain(self, obs: Tensor, init: Tensor) -> Tensor:
        box = {"low": self.low, "high": self.high, "generator": self.generator}
        return self._tensor("langevin", obs, init, **box, **CHAIN)

    def _action(self, plain_action: Callable[[], Tensor], candidates: int) -> Workload:
        obs = {"state": self.obs[:1].unsqueeze(1)}
        return Workload(
            fast=lambda: self.policy.act(obs, self.rng),
            plain=plain_action,
            products=candidates * self.products,
            recorded=RecordedStep(lambda: {"action": plain_action()}, [self.generator])
            if self.device.type == "cuda"
            else None,
        )

    def _steps(self, loss: InfoNCE, plain_loss: Callable[[], Tensor], products: float) -> Workload:
        batch = Batch({"state": self.obs.unsqueeze(1)}, self.action)
        recorded = self.device.type == "cuda"
        kinds: dict[str, Any] = {"capturable": True} if recorded else {}
        fast_optimizer = torch.optim.Adam(self.policy.parameters(), **kinds, fused=recorded or None)
        plain_optimizer = torch.optim.Adam(self.plain.parameters(), **kinds)
        gradient, share = Gradient(self.policy), Share(BATCH, 1, 0)

        def fast() -> dict[str, Tensor]:
            with limit_threads(gradient.num_threads):
                fast_optimizer.zero_grad(set_to_none=True)
                parts = gradient.add(loss, batch, BATCH, self.generator, share)
                fast_optimizer.step()
            return {"loss": torch.stack([part["loss"] for part in parts]).mean()}

        def plain() -> dict[str, Tensor]:
            plain_optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(value := plain_loss())
            plain_optimizer.step()
            return {"loss": value.detach()}

        return Workload(
            fast=RecordedStep(fast, [self.generator]) if recorded else fast,
            plain=plain,
            products=products,
            recorded=RecordedStep(plain, [self.generator]) if recorded else None,
        )


def langevin(num_candidates: int = LANGEVIN_CANDIDATES) -> Sampler:
    """The chain of the published particle configuration."""
    return IBCLangevin(num_candidates=num_candidates, **CHAIN)


@torch.no_grad()
def copy_weights(energy: MLPEnergy, plain: Any) -> None:
    """Give the plain energy the weights of ours, whose first layer is split between features and action."""
    head = energy.head
    split = (head.dense_features.weight, head.dense_action.weight)
    plain.dense_in.weight.copy_(torch.cat(split, dim=1))
    plain.dense_in.bias.copy_(head.dense_features.bias)
    plain.blocks.load_state_dict(head.blocks.state_dict())
    plain.dense_out.load_state_dict(head.dense_out.state_dict())
