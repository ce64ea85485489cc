"""Latency beside busy processes, which are started and ended here, and on a quiet machine."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.config import select
from benchmarks.results import ResultTable, Row, column_table
from benchmarks.timing.pairs import load_plain
from benchmarks.timing.quiet import measure_quietly
from benchmarks.timing.recipes import RECIPES, make_trainer
from benchmarks.timing.workloads import NAMES, Pair, langevin, make_workload
from ibc.checkpoint import load_checkpoint
from ibc.cli.config import Config
from ibc.control import Controller
from ibc.device import provenance
from ibc.policies import Policy
from ibc.policies.loading import build_policy
from ibc.progress import track
from ibc.samplers import DFO
from ibc.spec import NumpyObs

#: Policies whose decisions are timed, one observation at a time; ``_all`` lets a decision have all threads.
POLICIES = ("particle_2d", "particle_16d", "particle_16d_autoregressive", "block_push_states",
            "block_push_pixels", "planar_sweep_image", "push_t_states", "door_human")  # fmt: skip
#: Training steps have all threads; actions are decisions of a controller, as on a robot.
ROWS = (
    "W1",
    "W2",
    "W2_all",
    "W3_2d",
    "W3_16d",
    "W4_2d",
    "W4_2d_all",
    "W4_16d",
    *RECIPES,
    *POLICIES,
)
#: A measure lasts so many seconds and calls at least.
SECONDS, CALLS = 2.0, 10


def measure_beside(config: Config) -> ResultTable:
    """Time rows on a quiet machine and beside ``config["beside"]`` busy processes, and write them."""
    wanted = select(dict.fromkeys(ROWS), config["rows"], "rows")
    output = Path(config["output"])
    head = {
        "command": f"python scripts/benchmark.py beside={config['beside']} output={output}",
        "beside": config["beside"],
        "about": {**provenance(), "threads": torch.get_num_threads()},
    }
    table = ResultTable(
        path=output,
        key=["name"],
        order=lambda key: ROWS.index(key[0]),  # type: ignore[arg-type]
        head=lambda rows: head,
        accept=lambda _, row: config["rows"] is not None and row["name"] in ROWS and "quiet" in row,
    )
    for name in track(wanted, "timing", len(wanted), "row"):
        work = make_work(name, config["plain"])
        for _ in range(2):
            work()
        row: Row = {"name": name}
        for side, neighbors in (("quiet", 0), ("beside", config["beside"])):
            found, cores = measure_quietly(lambda: latency(work), neighbors)  # noqa: B023  called at once
            row[side] = {**found, "cores_of_others": cores}
        table.add({**row, "ratio_of_p95": row["beside"]["p95"] / row["quiet"]["p95"]})
    print("\n".join(beside_table({**head, "rows": table.rows})))
    print(f"file: {output}")
    return table


def make_work(name: str, plain: str) -> Callable[[], Any]:
    """One training step, or one decision of a controller."""
    if name in RECIPES:
        return make_trainer(name, torch.device("cpu")).train_step
    if name.startswith(("W1", "W3")):
        return make_workload(name, load_plain(plain), torch.device("cpu")).fast
    num_threads = None if name.endswith("_all") else 1
    if name.startswith("W"):
        policy: Policy = published(name.removesuffix("_all"), plain)
    else:
        checkpoint = load_checkpoint(Path(f"pretrained/{name}.pt"))
        policy = build_policy(checkpoint, torch.device("cpu"))
    controller = Controller(policy, num_threads=num_threads, num_execute_steps=1)
    controller.reset(0)
    rng = np.random.default_rng(0)
    obs: NumpyObs = {
        key: rng.integers(0, 256, field.shape, np.uint8)
        if field.is_image
        else rng.normal(size=field.shape).astype(np.float32)
        for key, field in policy.spec.obs.items()
    }
    return lambda: controller.step(obs)


def published(name: str, plain: str) -> Policy:
    """The policy of a published configuration's search."""
    assert name in NAMES
    size = 16 if name.endswith("16d") else 2
    width, num_blocks = (128, 4) if name == "W2" else (256, 1)
    pair = Pair(load_plain(plain), size, torch.device("cpu"), width=width, num_blocks=num_blocks)
    dfo = DFO(num_candidates=16384, num_iterations=3, noise_std=0.33, shrink=0.5)
    pair.policy.sampler = dfo if name == "W2" else langevin()
    return pair.policy


def latency(work: Callable[[], Any]) -> Row:
    """Median and 95th percentile of calls (ms)."""
    times = []
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end or len(times) < CALLS:
        times.append(timed(work))
    p50, p95 = np.percentile(times, [50, 95])
    return {"p50": p50, "p95": p95, "calls": len(times)}


def timed(work: Callable[[], Any]) -> float:
    """Milliseconds of a call."""
    start = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - start)


#: Columns of the table.
BESIDE: dict[str, Callable[[Row], str]] = {
    "work": lambda row: row["name"],
    "quiet, median": lambda row: f"{row['quiet']['p50']:.1f} ms",
    "quiet, p95": lambda row: f"{row['quiet']['p95']:.1f} ms",
    "beside, median": lambda row: f"{row['beside']['p50']:.1f} ms",
    "beside, p95": lambda row: f"{row['beside']['p95']:.1f} ms",
    "p95, beside / quiet": lambda row: f"{row['ratio_of_p95']:.1f}",
    "cores taken by others": lambda row: (
        f"{row['quiet']['cores_of_others']:.2f}, {row['beside']['cores_of_others']:.2f}"
    ),
}


def beside_table(result: dict[str, Any]) -> list[str]:
    """Markdown lines: latency on a quiet machine and beside busy processes."""
    about = result["about"]
    return [
        *column_table(BESIDE, result["rows"]),
        "",
        f"`{result['command']}`: {result['beside']} busy process beside; {about['cores']} cores, {about['processor']}.",
        "",
    ]
