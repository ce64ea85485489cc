"""Data-parallel training: the rows of a joint batch, and of its noise, that belong to one process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import Lock

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from ibc.distributed import num_processes, process_index
from ibc.errors import UserError
from ibc.random import BatchRandom, RandomSource


class Share:
    """The part of every batch that this process takes.

    A step of several processes is that of one process on the joint batch: of P processes, each takes every P-th row of
    the batch and of every random draw, and gradients are averaged. Rows alternate, so that the first rows of all shares
    are the first rows of the batch, which some losses see alone. Each process draws the noise of the whole batch; noise
    is cheap beside the network. What draws from torch's own generator (dropout, crops and colors of pictures, noise of
    encoders) is independent in each process.

    Args:
        batch_size: of the joint batch.
        accumulate: parts into which a batch is cut, of which each process takes its rows.
        seed: of the run.

    Raises:
        UserError: there are more parts than examples, or several processes cannot divide them evenly.
    """

    def __init__(self, batch_size: int, accumulate: int, seed: int) -> None:
        if not 1 <= accumulate <= batch_size:
            raise UserError(f"trainer.accumulate={accumulate}; allowed: 1 to {batch_size}")
        self.index, self.count = process_index(), num_processes()
        self.accumulate, self.seed = accumulate, seed
        parts = self.count * accumulate
        if self.count > 1 and batch_size % parts:
            raise UserError(
                f"trainer.batch_size={batch_size} cannot be divided evenly; "
                f"{self.count} processes with trainer.accumulate={accumulate} need a multiple of {parts}"
            )

    def rows(self, indices: Callable[[int], Int[Tensor, " B"]]) -> Callable[[int], Tensor]:
        """Indices of the examples that this process takes at a step, from those of the joint batch."""
        if self.count == 1:
            return indices
        shape = (self.accumulate, -1, self.count)
        return lambda step: indices(step).view(shape)[..., self.index].flatten()

    def random(self, generator: torch.Generator) -> RandomSource:
        """Random numbers for this process's rows, from a generator that is in the same state in every process."""
        if self.count == 1:
            return BatchRandom(generator)
        return RowsOfBatchRandom(generator, self.index, self.count)

    def check(self, memory: Mapping[str, Tensor]) -> None:
        """Refuse a loss with a memory of examples, of which each process would keep another.

        Raises:
            UserError: it has one, and there are several processes.
        """
        if self.count > 1 and memory:
            raise UserError("negatives=replayed remembers examples, and trains in one process only")

    def begin_step(self, step: int) -> None:
        """Give torch's own generator a state that depends on seed, step and process alone.

        The state of the first process is that of the run, which is saved.
        """
        if self.index > 0:
            words = np.random.SeedSequence([self.seed, step, self.index]).generate_state(
                1, np.uint64
            )
            torch.manual_seed(int(words[0] >> np.uint64(1)))


class RowsOfBatchRandom(BatchRandom):
    """Draws for a joint batch, and returns every ``count``-th row from row ``index`` on."""

    def __init__(self, generator: torch.Generator, index: int, count: int) -> None:
        super().__init__(generator)
        self.index, self.count = index, count

    def uniform(self, *shape: int) -> Tensor:
        return self._own(super().uniform(shape[0] * self.count, *shape[1:]))

    def normal(self, *shape: int) -> Tensor:
        return self._own(super().normal(shape[0] * self.count, *shape[1:]))

    def _own(self, joint: Tensor) -> Tensor:
        return joint[self.index :: self.count]


class JointNoise:
    """Random numbers for a joint batch, each drawn once, of which parts of the batch take their rows in any order.

    Args:
        random: draws for the joint batch; its state afterwards is as if one had drawn for all.
    """

    def __init__(self, random: RandomSource) -> None:
        self.random = random
        self._drawn: list[tuple[str, Tensor]] = []
        self._lock = Lock()

    def rows(self, index: int, count: int) -> RandomSource:
        """Random numbers for every ``count``-th row from row ``index`` on."""
        return _RowsOfJointNoise(self, index, count)

    def draw(self, number: int, kind: str, shape: tuple[int, ...]) -> Tensor:
        """The draw of that number, uniform or normal, which is made where nobody has asked for it before.

        Raises:
            UserError: another part has drawn something else in its place.
        """
        with self._lock:
            if number == len(self._drawn):
                self._drawn.append((kind, getattr(self.random, kind)(*shape)))
        found, drawn = self._drawn[number]
        if (found, drawn.shape) != (kind, shape):
            raise UserError(
                "the loss draws other noise for one part of a batch than for the next; "
                "let its is_mean() return False, so that batches stay whole"
            )
        return drawn


class _RowsOfJointNoise:
    """The rows of one part; it counts its draws."""

    def __init__(self, noise: JointNoise, index: int, count: int) -> None:
        self.noise, self.index, self.count = noise, index, count
        self._number = 0

    def uniform(self, *shape: int) -> Tensor:
        return self._next("uniform", shape)

    def normal(self, *shape: int) -> Tensor:
        return self._next("normal", shape)

    def _next(self, kind: str, shape: tuple[int, ...]) -> Tensor:
        joint = self.noise.draw(self._number, kind, (shape[0] * self.count, *shape[1:]))
        self._number += 1
        return joint[self.index :: self.count]
