"""How many threads of the processor one piece of work takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def limit_threads(count: int | None) -> Iterator[None]:
    """Let torch use so many threads for a while; the number is a property of the process, and is restored.

    Threads meet at the end of every operation. Where another process is busy, one of them waits there for a core, at
    each of the thousands of operations of a search; one thread waits for none.

    Args:
        count: of threads; None leaves what is set.
    """
    before = torch.get_num_threads()
    if count is None or count == before:
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
