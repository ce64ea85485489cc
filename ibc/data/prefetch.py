"""Batches gathered ahead of time, so that reading pictures and training keep two cores busy."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from jaxtyping import Int
from torch import Tensor

from ibc.data.dataset import WindowDataset
from ibc.spec import Batch


class Prefetcher:
    """The batches of a training run by their step, of which the next few are gathered by threads.

    Which examples a batch has is a function of its step alone, so that threads change nothing but the time. Data that
    is all in memory is not gathered ahead.

    Args:
        dataset: the examples.
        indices: of the examples of a step's batch; called by the caller's thread, in order.
        ahead: batches that are gathered beyond the one asked for.
        threads: that gather.
    """

    def __init__(
        self,
        dataset: WindowDataset,
        indices: Callable[[int], Int[Tensor, " B"]],
        *,
        ahead: int = 4,
        threads: int = 2,
    ) -> None:
        self.dataset, self.indices = dataset, indices
        self.ahead = 0 if dataset.is_on_device else ahead
        self._pool = (
            ThreadPoolExecutor(threads, "gather", torch.set_num_threads, (1,))
            if self.ahead
            else None
        )
        self._coming: dict[int, Future[Batch]] = {}

    def __call__(self, step: int) -> Batch:
        """The batch of a step.

        Raises:
            UserError: a picture of it cannot be read.
        """
        if self._pool is None:
            return self.dataset.batch(self.indices(step))
        wanted = range(step, step + self.ahead + 1)
        for other in self._coming.keys() - set(wanted):
            self._coming.pop(other).cancel()
        for one in wanted:
            if one not in self._coming:
                rows = self.indices(one)
                self._coming[one] = self._pool.submit(self.dataset.batch, rows)
        return self._coming.pop(step).result()

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
