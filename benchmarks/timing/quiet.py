"""A machine that others use, too: measures are taken when it is quiet, and say how quiet it was."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

#: Cores taken by others below which the machine counts as quiet.
QUIET = 0.05
#: Measures that are tried, and seconds that each waits for a quiet machine.
TRIES, PATIENCE = 3, 60.0


def measure_quietly(
    measure: Callable[[], T], neighbors: int = 0, tries: int = TRIES
) -> tuple[T, float]:
    """The measure during which others took least of the processor, and the cores they took.

    Args:
        measure: is repeated where others were busy.
        neighbors: busy processes that are started and ended for it.
        tries: measures at most.
    """
    best: tuple[T, float] | None = None
    for _ in range(tries):
        wait_for_quiet()
        with busy(neighbors) as pids:
            before, start = taken_by_others(pids), time.perf_counter()
            found = measure()
            cores = (taken_by_others(pids) - before) / (time.perf_counter() - start)
        if best is None or cores < best[1]:
            best = found, max(0.0, cores)
        if cores < QUIET:
            break
    assert best is not None
    return best


def wait_for_quiet() -> None:
    """Wait until others have left the processor alone for half a second, or for as long as patience lasts."""
    end = time.perf_counter() + PATIENCE
    while time.perf_counter() < end:
        before, start = taken_by_others([]), time.perf_counter()
        time.sleep(0.5)
        if taken_by_others([]) - before < QUIET * (time.perf_counter() - start):
            return


@contextmanager
def busy(count: int) -> Iterator[Sequence[int]]:
    """So many processes that compute all the time, by their ids.

    They have sessions of their own, as programs of others have: Linux shares the processor out to sessions first.
    """
    command = [sys.executable, "-c", "while True: pass"]
    processes = [subprocess.Popen(command, start_new_session=True) for _ in range(count)]
    try:
        time.sleep(0.2 * bool(count))
        yield [process.pid for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()


def taken_by_others(neighbors: Sequence[int]) -> float:
    """Seconds of processor time that others have taken since the machine started.

    Not others are this process, those of its children that have ended, and the neighbors.
    """
    ticks = os.sysconf("SC_CLK_TCK")
    user, nice, system, _, _, *rest = map(int, Path("/proc/stat").read_text().split()[1:9])
    ours = sum(os.times()[:4])
    for pid in neighbors:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ours += (int(fields[11]) + int(fields[12])) / ticks
    return (user + nice + system + sum(rest)) / ticks - ours
