"""A workload of this project beside the plain implementation: time and memory."""

import importlib.util
import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.results import Row
from benchmarks.timing.workloads import make_workload
from ibc.cli.config import Config
from ibc.device import choose_device, configure_device
from ibc.errors import UserError

#: Calls before those that are timed: on a GPU, a step is recorded at the fourth.
WARM_UPS = 5


def time_pair(name: str, config: Config, product_rate: float) -> Row:
    """Both implementations in turns, so that other load of the machine affects both alike."""
    device = choose_device(config["device"])
    work = make_workload(name, load_plain(config["plain"]), device)
    sides = [work.plain, work.fast, work.recorded or autocast(work.plain)]
    for side in sides:
        for _ in range(WARM_UPS):
            milliseconds(side)
    times = zip(
        *([milliseconds(side) for side in sides] for _ in range(config["repeats"])), strict=True
    )
    plain, fast, other = (list(side) for side in times)
    ratios = [p / f for p, f in zip(plain, fast, strict=True)]
    return {
        "ms": statistics.median(fast),
        "plain_ms": statistics.median(plain),
        "plain_graph_ms" if work.recorded else "plain_autocast_ms": statistics.median(other),
        "ratio": statistics.median(ratios),
        "ratio_range": [min(ratios), max(ratios)],
        "fraction_of_matmul": work.products / (statistics.median(fast) / 1e3) / product_rate,
        "peak_memory_mb": memory_of(name, "fast", config),
        "plain_peak_memory_mb": memory_of(name, "plain", config),
    }


def autocast(work: Callable[[], Any]) -> Callable[[], Any]:
    """The same with its dense layers in bfloat16."""

    def reduced() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            work()

    return reduced


def load_plain(path: str) -> Any:
    """The plain implementation's module.

    Raises:
        UserError: there is no such file.
    """
    spec = importlib.util.spec_from_file_location("plain", path)
    if spec is None or spec.loader is None or not Path(path).exists():
        raise UserError(f"no plain implementation at {path}; run this from the project's folder")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def memory_of(name: str, side: str, config: Config) -> float:
    """Peak memory (MB) of this work alone: resident in a process of its own, or taken of a GPU."""
    device = choose_device(config["device"])
    if device.type == "cuda":
        work = getattr(make_workload(name, load_plain(config["plain"]), device), side)
        torch.cuda.reset_peak_memory_stats()
        for _ in range(WARM_UPS):
            work()
        return torch.cuda.max_memory_allocated() / 2**20
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_memory_child, args=(name, side, config, sender))
    process.start()
    sender.close()
    try:
        return float(receiver.recv())
    except EOFError as error:
        raise UserError(f"the process that measures the memory of {name} failed") from error
    finally:
        process.join()


def _memory_child(name: str, side: str, config: Config, sender: Any) -> None:
    configure_device(config["device"], config["precision"])
    work = getattr(make_workload(name, load_plain(config["plain"]), torch.device("cpu")), side)
    work()
    work()
    sender.send(peak_memory_mb())


def peak_memory_mb() -> float:
    """Peak resident memory (MB) of this process.

    Linux passes ``ru_maxrss`` on to child processes, so the entry of ``/proc`` is preferred where there is one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def milliseconds(work: Callable[[], Any]) -> float:
    """The time of one call, until the device has done its work."""
    synchronize()
    start = time.perf_counter()
    work()
    synchronize()
    return 1e3 * (time.perf_counter() - start)


def synchronize() -> None:
    """Wait for the GPU, where there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def measure_product_rate(dtype: torch.dtype, device: torch.device) -> float:
    """The fastest matrix product of a layer's shape, in floating point operations a second."""
    best = 0.0
    for rows in (1024, 2048, 4096, 8192, 131072)[: 4 if device.type == "cpu" else 5]:
        x, w = torch.randn(rows, 256).to(device, dtype), torch.randn(256, 256).to(device, dtype)
        out = torch.empty(rows, 256, dtype=dtype, device=device)
        for _ in range(30):
            ms = milliseconds(lambda: torch.mm(x, w, out=out))  # noqa: B023  called at once
            best = max(best, 2 * rows * 256 * 256 / (ms / 1e3))
    return best
