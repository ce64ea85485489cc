"""An energy head's arithmetic, fast: blocks that fit the cache, buffers that exist, the dtype asked for.

The mathematics is that of :class:`~ibc.nn.energy_head.HeadWeights`, against which these kernels are tested. Three
things make the difference (``docs/performance.md`` has the figures):

* Candidates are worked on in blocks small enough for every intermediate to be read back from the cache.
* The products of the residual blocks may be taken in bfloat16. The first layer and the output layer stay in full
  precision: they are narrow, and they are where an action's last digits and an energy's differences live.
* Buffers are kept and rectifiers work in place (``ibc.nn.scratch``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from ibc.nn.energy_head import HeadWeights
from ibc.nn.scratch import close, relu_, scratch_of
from ibc.nn.workers import in_parallel

#: Bytes of one intermediate of one block on a CPU; on other devices one block is this many rows.
BLOCK_BYTES, DEVICE_ROWS = 1 << 19, 1 << 18
#: Rows that are worth a thread of their own; fewer are left to the operations' own threads.
WORTH_A_THREAD = 1024


#: Observations and candidates of one block, and its rows among all.
Block = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Tape:
    """What the way back needs of one block of rows: each rectifier's output, the last hidden layer, the output."""

    rectified: list[tuple[Tensor, Tensor]]
    hidden: Float[Tensor, "R W"]
    residual: Float[Tensor, "R K"]


@dataclass(frozen=True)
class Sums:
    """Gradients of a head's tensors, in their order, summed over blocks."""

    tensors: tuple[Tensor, ...]

    def add(self, index: int, left: Tensor, right: Tensor) -> None:
        """Add ``left^T right`` to tensor ``index``."""
        if left.dtype == self.tensors[index].dtype:
            self.tensors[index].addmm_(left.t(), right)
        else:
            self.tensors[index].add_(left.t() @ right)


class HeadKernel:
    """One head in one arithmetic: energies, action gradients and, for training, the gradients of everything.

    Args:
        weights: of the head; full precision is theirs.
        dtype: of the products inside the residual blocks.
    """

    def __init__(self, weights: HeadWeights, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self.full = weights.action.dtype
        self.kind = weights.kind
        self.action = weights.action.detach()
        self.out_weight, self.out_bias = (tensor.detach() for tensor in weights.out)
        self.blocks = [tuple(t.detach().to(dtype) for t in block) for block in weights.blocks]
        self.width = len(self.action)
        self.scratch = scratch_of(self.action.device)

    def energy(
        self, context: Float[Tensor, "B 1 W"], action: Float[Tensor, "B N A"]
    ) -> Float[Tensor, "B N"]:
        """Energies of candidates, actions in the unit cube."""
        energy = action.new_empty(action.shape[:2])
        work = partial(self._energies, context, action, energy)
        in_parallel(work, self._shares(*action.shape[:2]))
        return energy

    def _energies(
        self, context: Tensor, action: Tensor, energy: Tensor, blocks: list[Block]
    ) -> None:
        for b, n, _ in blocks:
            self._energy_of(self._forward(context[b], action[b, n], None), energy[b, n])

    def gradient(
        self, context: Float[Tensor, "B 1 W"], action: Float[Tensor, "B N A"]
    ) -> Float[Tensor, "B N A"]:
        """``dE/da``: nothing is differentiated but the action."""
        gradient = torch.empty_like(action)
        work = partial(self._gradients, context, action, gradient)
        in_parallel(work, self._shares(*action.shape[:2]))
        return gradient

    def _gradients(
        self, context: Tensor, action: Tensor, gradient: Tensor, blocks: list[Block]
    ) -> None:
        for b, n, rows in blocks:
            count = rows.stop - rows.start
            flat = self.scratch("storage", (self._num_stored * count, self.width), self.dtype)
            storage = flat.view(self._num_stored, count, self.width)
            tape = self._forward(context[b], action[b, n], storage)
            ones = self.out_bias.new_ones(()).expand(count, 1)
            self._backward(tape, ones, None)
            self._to_action(tape, ones, gradient[b, n])

    def forward(
        self, context: Float[Tensor, "B 1 W"], action: Float[Tensor, "B N A"]
    ) -> tuple[Float[Tensor, "B N"], Tensor]:
        """Energies, and what :meth:`backward` needs to know of how they came about."""
        batch, count = action.shape[:2]
        energy = action.new_empty(batch, count)
        storage = action.new_empty(self._num_stored, batch * count, self.width, dtype=self.dtype)
        work = partial(self._recorded, context, action, storage, energy)
        in_parallel(work, self._shares(batch, count))
        return energy, storage

    def _recorded(
        self,
        context: Tensor,
        action: Tensor,
        storage: Tensor,
        energy: Tensor,
        blocks: list[Block],
    ) -> None:
        for b, n, rows in blocks:
            tape = self._forward(context[b], action[b, n], storage[:, rows])
            self._energy_of(tape, energy[b, n])

    def backward(
        self,
        context: Float[Tensor, "B 1 W"],
        action: Float[Tensor, "B N A"],
        storage: Tensor,
        upstream: Float[Tensor, "B N"],
    ) -> tuple[Float[Tensor, "B 1 W"], Float[Tensor, "B N A"], Sums]:
        """Gradients of ``sum(upstream * energy)``: of the context, the actions and the weights. Uses up the storage."""
        to_context, to_action = torch.zeros_like(context), torch.empty_like(action)
        work = partial(self._all_gradients, action, storage, upstream, to_action)
        total = self._no_sums()
        for sums, parts in in_parallel(work, self._shares(*action.shape[:2])):
            for mine, theirs in zip(total.tensors, sums.tensors, strict=True):
                mine.add_(theirs)
            for b, part in parts:  # an observation may have been split
                to_context[b] += part
        return to_context, to_action, total

    def _all_gradients(
        self,
        action: Tensor,
        storage: Tensor,
        upstream: Tensor,
        to_action: Tensor,
        blocks: list[Block],
    ) -> tuple[Sums, list[tuple[slice, Tensor]]]:
        sums, parts = self._no_sums(), []
        for b, n, rows in blocks:
            tape = self._tape(storage[:, rows], action[b, n])
            weight = upstream[b, n].reshape(-1, 1)
            self._backward(tape, weight, sums)
            self._to_action(tape, weight, to_action[b, n])
            g = self._full(self.scratch("g", tape.hidden.shape, self.dtype), "h32")
            sums.tensors[0].addmm_(g.t(), action[b, n].reshape(len(g), -1))
            parts.append((b, g.view(b.stop - b.start, -1, self.width).sum(1, keepdim=True)))
        return sums, parts

    def _no_sums(self) -> Sums:
        inner = [tensor for block in self.blocks for tensor in block]
        tensors = [self.action, *inner, self.out_weight, self.out_bias]
        return Sums(tuple(torch.zeros_like(t, dtype=self.full) for t in tensors))

    @property
    def _num_stored(self) -> int:
        return 2 * len(self.blocks) + 1

    def _shares(self, batch: int, count: int) -> list[list[Block]]:
        """For each thread the blocks that it works on, always the same."""
        rows, threads = DEVICE_ROWS, 1
        if self.action.device.type == "cpu":
            threads = min(torch.get_num_threads(), max(1, batch * count // WORTH_A_THREAD))
            fitting = max(1, BLOCK_BYTES // (self.width * self.dtype.itemsize))
            rows = min(fitting, -(-batch * count // threads))
        blocks = list(self._blocks(batch, count, max(1, rows)))
        shares = [blocks[i::threads] for i in range(threads)]
        return [share for share in shares if share] or [[]]

    @staticmethod
    def _blocks(batch: int, count: int, rows: int) -> Iterator[Block]:
        """Blocks of whole observations, or of one observation's candidates where those are too many."""
        start = 0
        for b in range(0, batch, max(1, rows // max(1, count))):
            last = min(b + max(1, rows // max(1, count)), batch)
            for n in range(0, count, rows if count > rows else max(1, count)):
                end = min(n + rows, count)
                stop = start + (last - b) * (end - n)
                yield slice(b, last), slice(n, end), slice(start, stop)
                start = stop

    def _forward(
        self,
        context: Float[Tensor, "b 1 W"],
        action: Float[Tensor, "b n A"],
        storage: Float[Tensor, "S R W"] | None,
    ) -> Tape:
        batch, count, size = action.shape
        rows = batch * count
        h = self.scratch("h32", (rows, self.width), self.full)
        flat = action.reshape(rows, size)
        torch.mm(flat, self.action.t(), out=h)
        h.view(batch, count, self.width).add_(context)
        if self.dtype != self.full:
            h = self.scratch("h", (rows, self.width), self.dtype).copy_(h)
        rectified = []
        for k, (w1, b1, w2, b2) in enumerate(self.blocks):
            if storage is None:
                r = self.scratch("r", (rows, self.width), self.dtype)
                q = self.scratch("q", (rows, self.width), self.dtype)
            else:
                r, q = storage[2 * k], storage[2 * k + 1]
            relu_(h, r)
            torch.addmm(b1, r, w1.t(), out=q)
            relu_(q, q)
            h.add_(b2).addmm_(q, w2.t())
            rectified.append((r, q))
        if storage is not None:
            h = storage[-1].copy_(h)
        return Tape(rectified, h, self._residual(h, flat))

    def _tape(self, storage: Float[Tensor, "S R W"], action: Float[Tensor, "b n A"]) -> Tape:
        rectified = [(storage[2 * k], storage[2 * k + 1]) for k in range(len(self.blocks))]
        flat = action.reshape(-1, action.shape[-1])
        return Tape(rectified, storage[-1], self._residual(storage[-1], flat))

    def _full(self, x: Tensor, name: str) -> Tensor:
        return x if x.dtype == self.full else self.scratch(name, x.shape, self.full).copy_(x)

    def _residual(self, hidden: Tensor, action: Float[Tensor, "R A"]) -> Float[Tensor, "R K"]:
        """The output layer, or what the action differs from it by."""
        out = self.scratch("out", (len(hidden), len(self.out_bias)), self.full)
        torch.addmm(self.out_bias, self._full(hidden, "h32"), self.out_weight.t(), out=out)
        return torch.sub(action, out, out=out) if self.kind == "reconstruction" else out

    def _energy_of(self, tape: Tape, into: Float[Tensor, "b n"]) -> None:
        if self.kind == "scalar":
            into.copy_(tape.residual.view(into.shape))
            return
        squares = self.scratch("squares", tape.residual.shape, self.full)
        torch.mul(tape.residual, tape.residual, out=squares)
        into.copy_(squares.sum(-1).mul_(0.5).view(into.shape))

    def _to_output(self, tape: Tape, upstream: Float[Tensor, "R 1"]) -> Float[Tensor, "R K"]:
        """Gradient with respect to the output layer's result."""
        if self.kind == "scalar":
            return upstream
        sign = -1.0 if self.kind == "reconstruction" else 1.0
        return tape.residual * (sign * upstream)

    def _backward(self, tape: Tape, upstream: Float[Tensor, "R 1"], sums: Sums | None) -> None:
        """From the energies to the first layer's result, which is left in scratch "g"."""
        shape = tape.hidden.shape
        to_output = self._to_output(tape, upstream)
        if sums is not None:
            last = len(sums.tensors) - 1
            sums.add(last - 1, to_output, self._full(tape.hidden, "h32"))
            sums.tensors[last].add_(to_output.sum(0))
        g = self.scratch("g", shape, self.dtype)
        if g.dtype == self.full:
            torch.mm(to_output, self.out_weight, out=g)
        else:
            g.copy_(torch.mm(to_output, self.out_weight, out=self.scratch("h32", shape, self.full)))
        back, through = (self.scratch(name, shape, self.dtype) for name in ("back", "through"))
        for k in reversed(range(len(self.blocks))):
            w1, _, w2, _ = self.blocks[k]
            r, q = tape.rectified[k]
            torch.mm(g, w2, out=back)
            if sums is not None:
                sums.add(4 * k + 3, g, q)
                sums.tensors[4 * k + 4].add_(g.sum(0))
            close(back, q)
            torch.mm(back, w1, out=through)
            if sums is not None:
                sums.add(4 * k + 1, back, r)
                sums.tensors[4 * k + 2].add_(back.sum(0))
            close(through, r)
            g.add_(through)

    def _to_action(
        self, tape: Tape, upstream: Float[Tensor, "R 1"], into: Float[Tensor, "b n A"]
    ) -> None:
        """From the first layer's result to the action."""
        g = self._full(self.scratch("g", tape.hidden.shape, self.dtype), "h32")
        gradient = g @ self.action
        if self.kind == "reconstruction":
            gradient.add_(tape.residual * upstream)
        into.copy_(gradient.view(into.shape))
