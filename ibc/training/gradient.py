"""The gradient of a batch's loss, of its two halves at once where that pays."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

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
from ibc.training.share import RowsOfBatchRandom, Share

#: Floating point operations of a loss from which halves take no longer than whole batches on a quiet machine.
LEAST_WORK = 2e9
#: By how much of it a loss may differ from the mean of its halves, which sum in another order.
ROUNDING = 1e-2


class Gradient:
    """Adds the gradient of losses to that of a policy's parameters.

    On a CPU, large losses are computed in two halves of the batch at once, each by half of the threads. Threads that
    share an operation wait for each other at its end, and beside a busy process one of them waits there for a core,
    thousands of times in a step; halves wait for each other once. They are shares of the batch as those of two
    processes (:class:`ibc.training.share.Share`), so that the gradient is that of the whole batch with the same noise,
    but for the order of sums.

    Args:
        policy: to be trained.

    Attributes:
        is_halved: decided with the first batch, and saved with the run; None before. Several processes do not halve.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.is_halved: bool | None = None
        self._pool: ThreadPoolExecutor | None = None

    def add(
        self, objective: Loss, batch: Batch, whole: int, generator: torch.Generator, share: Share
    ) -> list[Metrics]:
        """Add the gradient of a batch, or of a part of ``whole`` examples; returns its metrics, or its halves'.

        Raises:
            UserError: with the first batch, if nothing trains the proposal from which the policy's search starts.
        """
        is_first = self.is_halved is None
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
        if self.is_halved is None:
            self.is_halved = share.count == 1 and self._is_worth_halving(objective, batch)
        if self.is_halved and share.count == 1 and len(batch.action) % 2 == 0:
            return self._add_halves(objective, batch, generator, weight)
        loss, metrics = objective(self.policy, batch, share.random(generator))
        torch.autograd.backward(loss if weight == 1 else loss * weight)
        return [{**metrics, "loss": loss.detach()}]

    def _add_halves(
        self, objective: Loss, batch: Batch, generator: torch.Generator, weight: float
    ) -> list[Metrics]:
        parameters = [p for p in self.policy.parameters() if p.requires_grad]
        threads = max(1, torch.get_num_threads() // 2)
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, "half", torch.set_num_threads, (threads,))

        def half(index: int, own: torch.Generator) -> tuple[tuple[Tensor | None, ...], Metrics]:
            rng = RowsOfBatchRandom(own, index, 2)
            loss, metrics = objective(self.policy, batch.every_other(index), rng)
            gradients = torch.autograd.grad(loss * (weight / 2), parameters, allow_unused=True)
            return gradients, {**metrics, "loss": loss.detach()}

        other = self._pool.submit(half, 1, generator.clone_state())
        with limit_threads(threads):
            halves = [half(0, generator), other.result()]
        for gradients, _ in halves:
            for parameter, gradient in zip(parameters, gradients, strict=True):
                if gradient is not None:
                    before = parameter.grad
                    # A new tensor: those of several parameters may be one and the same.
                    parameter.grad = gradient if before is None else before + gradient
        return [metrics for _, metrics in halves]

    def _is_worth_halving(self, objective: Loss, batch: Batch) -> bool:
        """Whether halves of such a batch are as fast and as good, and their run can be repeated; tried on both.

        What draws from torch's own generator, or changes statistics while it trains, would do so in the order in which
        threads happen to run. A loss that remembers examples would see its memory change meanwhile.
        """
        if batch.action.device.type != "cpu" or torch.get_num_threads() < 2:
            return False
        size = len(batch.action) // 2 * 2
        if size == 0 or not objective.is_mean():
            return False
        batch = Batch({n: o[:size] for n, o in batch.obs.items()}, batch.action[:size])
        state, memory = torch.get_rng_state(), objective.state_dict()
        statistics = [buffer.clone() for buffer in self.policy.buffers()]
        with FlopCounterMode(display=False) as counter:
            halves = [_tried(objective, self.policy, batch, index) for index in (0, 1)]
        flops = counter.get_total_flops()
        whole = _tried(objective, self.policy, batch, None)
        now = list(self.policy.buffers())
        is_repeatable = (
            _is_mean_of(whole, halves)
            and not objective.state_dict()
            and torch.equal(torch.get_rng_state(), state)
            and all(torch.equal(*pair) for pair in zip(statistics, now, strict=True))
        )
        torch.set_rng_state(state)
        objective.load_state_dict(memory)
        for buffer, before in zip(now, statistics, strict=True):
            buffer.copy_(before)
        return is_repeatable and flops >= LEAST_WORK


def _starts_untrained(policy: Policy) -> bool:
    """Whether a search starts at a proposal that has no gradient."""
    if not isinstance(policy, ImplicitPolicy) or policy.init_std is None:
        return False
    proposal = getattr(policy.energy, "proposal", None)
    return proposal is not None and all(p.grad is None for p in proposal.parameters())


def _tried(
    objective: Loss, policy: Policy, batch: Batch, index: int | None
) -> tuple[Tensor, Tensor]:
    """Return the loss of one half of a batch, or of all of it, and the state in which it leaves the noise."""
    generator = torch.Generator().manual_seed(0)
    if index is None:
        loss, _ = objective(policy, batch, BatchRandom(generator))
    else:
        rng = RowsOfBatchRandom(generator, index, 2)
        loss, _ = objective(policy, batch.every_other(index), rng)
    return loss.detach(), generator.get_state()


def _is_mean_of(whole: tuple[Tensor, Tensor], halves: list[tuple[Tensor, Tensor]]) -> bool:
    """Whether a loss is the mean of those of the halves, and the noise of all three the same."""
    mean = torch.stack([loss for loss, _ in halves]).mean()
    is_same = all(torch.equal(state, whole[1]) for _, state in halves)
    return is_same and torch.allclose(mean, whole[0], rtol=ROUNDING)
