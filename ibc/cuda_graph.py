"""Record GPU work once and repeat it with one launch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

T = TypeVar("T")

#: Repeats what was recorded, on the same memory.
Replay = Callable[[], None]


def run_aside(work: Callable[[], T]) -> T:
    """Run work on a stream of its own, as what is recorded later must have been before it (PyTorch, "CUDA Graphs")."""
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        out = work()
    torch.cuda.current_stream().wait_stream(side)
    return out


def capture_cuda_graph(
    work: Callable[[], T], generators: Sequence[torch.Generator] = ()
) -> tuple[T, Replay]:
    """Record ``work`` as a CUDA graph, without doing it (PyTorch documentation, "CUDA Graphs").

    Args:
        work: has run before, by :func:`run_aside`, so that libraries have chosen their kernels.
        generators: from which it draws, besides torch's own; each replay advances them as ``work`` would.

    Returns:
        What ``work`` returned, tensors that a replay overwrites, and the replay.

    Raises:
        RuntimeError: ``work`` waits for the device, and so cannot be recorded.
    """
    graph = torch.cuda.CUDAGraph()
    for generator in generators:
        graph.register_generator_state(generator)
    with torch.cuda.graph(graph):
        out = work()
    return out, graph.replay
