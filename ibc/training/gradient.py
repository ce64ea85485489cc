"""The gradient of a batch's loss, of parts of the batch at once where that pays."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from ibc.errors import UserError
from ibc.losses import Loss
from ibc.losses.base import Metrics
from ibc.policies import ImplicitPolicy, Policy
from ibc.random import BatchRandom
from ibc.spec import Batch
from ibc.threads import limit_threads
from ibc.training.share import JointNoise, RowsOfBatchRandom, Share

#: Floating point operations of a loss for each thread that computes it: with less, a thread costs more than it gives.
WORK_OF_THREAD = 5e8
#: Operations of a loss from which two and four parts take no longer than the whole batch on a quiet machine.
WORK_OF_PARTS = {2: 1e9, 4: 2e10}
#: By how much of it a loss may differ from the mean of its parts, which sum in another order.
ROUNDING = 1e-2


class Gradient:
    """Adds the gradient of losses to that of a policy's parameters.

    On a CPU, large losses are computed in parts of the batch, two at a time, each by half of the threads and by half of
    the cores. Threads that share an operation wait for each other at its end, and beside a busy process one of them
    waits there for a core, thousands of times in a step; here the one that has a core takes the next part. Parts are
    shares of the batch as those of several processes (:class:`ibc.training.share.Share`), so that the gradient is that
    of the whole batch with the same noise, but for the order of sums, which is that of the parts. Small losses take as
    many threads as they have work for.

    Args:
        policy: to be trained.

    Attributes:
        num_parts: decided with the first batch, and saved with the run; None before. Several processes have one.
        num_threads: for each part and for the rest of a step, decided and saved likewise; None leaves what is set.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.num_parts: int | None = None
        self.num_threads: int | None = None
        self._pool: ThreadPoolExecutor | None = None

    def state_dict(self) -> dict[str, int | None]:
        """What a continued run does as before."""
        return {"num_parts": self.num_parts, "num_threads": self.num_threads}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from :meth:`state_dict`, or from the state of an edition that knew two parts at most."""
        self.num_parts = state.get("num_parts", 2 if state.get("is_halved") else 1)
        self.num_threads = state.get("num_threads")

    def add(
        self, objective: Loss, batch: Batch, whole: int, generator: torch.Generator, share: Share
    ) -> list[Metrics]:
        """Add the gradient of a batch, or of a part of ``whole`` examples; returns its metrics, or its parts'.

        Raises:
            UserError: with the first batch, if nothing trains the proposal from which the policy's search starts.
        """
        is_first = self.num_parts is None
        if is_first:
            self.num_parts, self.num_threads = self._divided(objective, batch, share)
        with limit_threads(self.num_threads):
            metrics = self._add(objective, batch, len(batch.action) / whole, generator, share)
        if is_first and _starts_untrained(self.policy):
            raise UserError(
                f"loss={type(objective).__name__} trains no proposal, at which the search starts; choose "
                "policy.init_std=null policy.energy.proposal=false, or loss=wide_denoising"
            )
        return metrics

    def _add(
        self, objective: Loss, batch: Batch, weight: float, generator: torch.Generator, share: Share
    ) -> list[Metrics]:
        count = math.gcd(self.num_parts or 1, len(batch.action)) if share.count == 1 else 1
        if count == 1:
            loss, metrics = objective(self.policy, batch, share.random(generator))
            torch.autograd.backward(loss if weight == 1 else loss * weight)
            return [{**metrics, "loss": loss.detach()}]
        parameters = [p for p in self.policy.parameters() if p.requires_grad]
        noise = JointNoise(BatchRandom(generator))

        def part(index: int) -> tuple[tuple[Tensor | None, ...], Metrics]:
            rng = noise.rows(index, count)
            loss, metrics = objective(self.policy, batch.rows(index, count), rng)
            gradients = torch.autograd.grad(loss * (weight / count), parameters, allow_unused=True)
            return gradients, {**metrics, "loss": loss.detach()}

        if self._pool is None:
            self._pool = _two_workers(self.num_threads or max(1, torch.get_num_threads() // 2))
        found = []
        for gradients, metrics in self._pool.map(part, range(count)):
            found.append(metrics)
            for parameter, gradient in zip(parameters, gradients, strict=True):
                if gradient is not None:
                    before = parameter.grad
                    # A new tensor: those of several parameters may be one and the same.
                    parameter.grad = gradient if before is None else before + gradient
        return found

    def _divided(self, objective: Loss, batch: Batch, share: Share) -> tuple[int, int | None]:
        """Into how many parts such batches are cut, and how many threads each takes; tried.

        What draws from torch's own generator, or changes statistics while it trains, would do so in the order in which
        threads happen to run, so that its run could not be repeated. A loss that remembers examples would see its
        memory change meanwhile.
        """
        available = torch.get_num_threads()
        if batch.action.device.type != "cpu" or available < 2 or share.count > 1:
            return 1, None
        state, memory = torch.get_rng_state(), objective.state_dict()
        statistics = [buffer.clone() for buffer in self.policy.buffers()]
        with FlopCounterMode(display=False) as counter:
            whole = _tried(objective, self.policy, batch, 0, 1)
        work = counter.get_total_flops()
        threads = max(1, min(available, int(work / WORK_OF_THREAD)))
        most = max((n for n, least in WORK_OF_PARTS.items() if work >= least), default=1)
        count = math.gcd(most, len(batch.action)) if threads > 1 and objective.is_mean() else 1
        parts = [_tried(objective, self.policy, batch, i, count) for i in range(count)]
        now = list(self.policy.buffers())
        is_repeatable = (
            _is_mean_of(whole, parts)
            and not objective.state_dict()
            and torch.equal(torch.get_rng_state(), state)
            and all(torch.equal(*pair) for pair in zip(statistics, now, strict=True))
        )
        torch.set_rng_state(state)
        objective.load_state_dict(memory)
        for buffer, before in zip(now, statistics, strict=True):
            buffer.copy_(before)
        return (count, threads // 2) if count > 1 and is_repeatable else (1, threads)


def _two_workers(num_threads: int) -> ThreadPoolExecutor:
    """Two threads, each with so many threads of its own and with half of the cores.

    Linux may give one core to both of them, and the other to a busy process; not where they keep to their halves.
    """
    sides: Iterator[list[int]] = iter(([], []))
    if hasattr(os, "sched_getaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        half = len(cores) // 2
        sides = iter((cores[:half], cores[half:]))

    def begin() -> None:
        torch.set_num_threads(num_threads)
        side = next(sides)
        if side:
            os.sched_setaffinity(0, side)

    return ThreadPoolExecutor(2, "part", begin)


def _starts_untrained(policy: Policy) -> bool:
    """Whether a search starts at a proposal that has no gradient."""
    if not isinstance(policy, ImplicitPolicy) or policy.init_std is None:
        return False
    proposal = getattr(policy.energy, "proposal", None)
    return proposal is not None and all(p.grad is None for p in proposal.parameters())


def _tried(
    objective: Loss, policy: Policy, batch: Batch, index: int, count: int
) -> tuple[Tensor, Tensor]:
    """Return the loss of one of so many parts of a batch, and the state in which it leaves the noise."""
    generator = torch.Generator().manual_seed(0)
    rng = RowsOfBatchRandom(generator, index, count)
    loss, _ = objective(policy, batch.rows(index, count), rng)
    return loss.detach(), generator.get_state()


def _is_mean_of(whole: tuple[Tensor, Tensor], parts: list[tuple[Tensor, Tensor]]) -> bool:
    """Whether a loss is the mean of those of the parts, and the noise of all the same."""
    mean = torch.stack([loss for loss, _ in parts]).mean()
    is_same = all(torch.equal(state, whole[1]) for _, state in parts)
    return is_same and torch.allclose(mean, whole[0], rtol=ROUNDING)
