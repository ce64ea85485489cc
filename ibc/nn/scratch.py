"""Memory that kernels keep from call to call, and rectifiers that work in place.

Fresh pages cost more than the arithmetic done in them. Rectifiers and their masks are integer operations where the
dtype is bfloat16: a negative number has its sign bit set in both readings, and integers are an order faster.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor


class Scratch(threading.local):
    """Buffers by name, kept from call to call, for each thread its own."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._buffers: dict[tuple[str, int, torch.dtype], Tensor] = {}

    def __call__(self, name: str, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """An uninitialized matrix of that shape, valid until the same name is asked for again."""
        rows, columns = shape
        buffer = self._buffers.get((name, columns, dtype))
        if buffer is None or len(buffer) < rows:
            buffer = torch.empty(rows, columns, dtype=dtype, device=self.device)
            self._buffers[name, columns, dtype] = buffer
        return buffer[:rows]


@cache
def scratch_of(device: torch.device) -> Scratch:
    """The buffers of a device: within a thread, kernels run one after another."""
    return Scratch(device)


def _bits(x: Tensor) -> Tensor:
    """The same memory as integers, where that is faster."""
    return x.view(torch.int16) if x.dtype == torch.bfloat16 else x


def relu_(x: Tensor, out: Tensor) -> Tensor:
    """``max(x, 0)`` into ``out``."""
    torch.clamp(_bits(x), min=0, out=_bits(out))
    return out


def close(x: Tensor, rectified: Tensor) -> None:
    """Zero ``x`` where the rectifier was closed; turns ``rectified`` into its own mask."""
    _bits(x).mul_(_bits(rectified).sign_())
