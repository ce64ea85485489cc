"""Threads that each work through their own share with single-threaded operations.

Small operations that are each split over all cores meet at a barrier after every one; on a core that something else
wants too, each barrier waits for the scheduler (measured: fifty times slower beside one busy process). Here threads
meet once, at the end.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from threading import Barrier
from typing import TypeVar

import torch

Share = TypeVar("Share")
Result = TypeVar("Result")


def in_parallel(work: Callable[[Share], Result], shares: Sequence[Share]) -> list[Result]:
    """``work`` of each share, at the same time and without gradients; results in order."""
    if len(shares) == 1:
        return [work(shares[0])]
    return list(_pool(len(shares)).map(torch.no_grad()(work), shares))


@cache
def _pool(size: int) -> ThreadPoolExecutor:
    threads = torch.get_num_threads()
    ready = Barrier(size)

    def begin() -> None:
        torch.get_num_threads()  # a thread's first question sets its count to the process's: ask before setting
        torch.set_num_threads(1)
        _mkl_local_threads(1)

    pool = ThreadPoolExecutor(size, thread_name_prefix="ibc", initializer=begin)
    for future in [pool.submit(ready.wait) for _ in range(size)]:  # so that all have begun
        future.result()
    torch.set_num_threads(threads)  # the last one set holds for threads to come, and for MKL
    return pool


def _mkl_local_threads(count: int) -> None:
    """MKL's count is the process's, unless a thread has its own; absent from builds without MKL."""
    try:
        library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))
        library.MKL_Set_Num_Threads_Local(count)
    except (OSError, AttributeError):
        return
