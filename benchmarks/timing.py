"""The benchmark command: this project beside a plain implementation, in one run on one machine."""

from __future__ import annotations

import importlib.util
import json
import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.accuracy import accuracy
from benchmarks.figures import benchmark_bars
from benchmarks.search_options import OPTIONS, measure_option
from benchmarks.tables.benchmark import describe_other
from benchmarks.time_to_success import time_to_success
from benchmarks.workloads import NAMES, make_workload
from ibc.cli.config import Config, at_least, compose
from ibc.cli.evaluate import write_json
from ibc.control import PolicyActor
from ibc.device import configure_device, provenance
from ibc.environment import EnvConfig, Environment
from ibc.errors import UserError
from ibc.evaluation.plots import png
from ibc.evaluation.rollout import rollout
from ibc.files import write_atomically
from ibc.training.checkpoint import build_policy, load_checkpoint
from ibc.training.loggers import track

#: The policy whose environment and closed loop are timed, and the experiments whose training is.
CHECKPOINT = Path("pretrained/particle_2d.pt")
EXPERIMENTS = {"time_to_95_2d": "particle_2d", "time_to_95_16d": "particle_16d"}
ROLLOUTS = {"rollout_1": 1, "rollout_16": 16}
ACCURACIES = {
    "accuracy_2d": CHECKPOINT,
    "accuracy_16d": Path("pretrained/particle_16d.pt"),
}
#: Environments whose steps are timed, and how many steps.
ENVIRONMENTS: dict[str, tuple[list[str], int]] = {
    "env_particle": (["env=particle"], 5000),
    "env_block_push": (["env=block_push"], 1000),
    "env_block_push_arm": (["env=block_push", "env.arm=xarm"], 1000),
    "env_block_push_pixels": (
        ["env=block_push", "env.pixels=true", "env.image_size=[90,120]"],
        300,
    ),
}
ROWS = (*NAMES, *ACCURACIES, *ENVIRONMENTS, *ROLLOUTS, *OPTIONS, *EXPERIMENTS)


def benchmark(config: Config) -> None:
    """The command: time, print and write. Rows that are asked for by name replace those of an earlier result."""
    device = configure_device(config["device"], config["precision"])
    at_least(config, repeats=1)
    wanted = config["rows"] or list(ROWS)
    unknown = sorted(set(wanted) - set(ROWS))
    if unknown:
        raise UserError(f"rows={','.join(unknown)}; allowed: {', '.join(ROWS)}")
    rates = {str(dtype)[6:]: product_rate(dtype) for dtype in (torch.float32, torch.bfloat16)}
    print("matrix products: " + ", ".join(f"{n} {r / 1e9:.0f} GFLOP/s" for n, r in rates.items()))
    rows = earlier_rows(config)
    for name in track(wanted, "timing", len(wanted), "row"):
        rows[name] = make_row(name, config, max(rates.values()), device)
        print(describe(rows[name]))
        if config["output"] is not None:
            about = {**provenance(), "threads": torch.get_num_threads()}
            ordered = [rows[name] for name in ROWS if name in rows]
            result: dict[str, Any] = {"command": command(config), "rows": ordered}
            result |= {"products_per_second": rates, "about": about}
            write_json(Path(config["output"]), result)
    if config["output"] is not None:
        picture = Path(config["output"]).with_suffix(".png")
        write_atomically(picture, png(benchmark_bars([row for row in ordered if row["ratio"]])))
        print(f"files: {config['output']}  {picture}")


def earlier_rows(config: Config) -> dict[str, dict[str, Any]]:
    """What ``output`` has already, where only some rows are to be measured."""
    if config["output"] is None or not config["rows"] or not Path(config["output"]).exists():
        return {}
    rows = json.loads(Path(config["output"]).read_text())["rows"]
    return {row["name"]: row for row in rows if row["name"] in ROWS}


def make_row(name: str, config: Config, rate: float, device: torch.device) -> dict[str, Any]:
    """One object of the result; what does not apply is null."""
    row: dict[str, Any] = {"name": name, "ms": None, "plain_ms": None, "ratio": None}
    row |= {"fraction_of_matmul": None, "peak_memory_mb": None}
    if name in NAMES:
        row |= time_pair(name, config, rate)
    elif name in ACCURACIES:
        row |= accuracy(ACCURACIES[name], device)
    elif name in ROLLOUTS:
        row |= time_rollout(ROLLOUTS[name], device)
    elif name in OPTIONS:
        row |= measure_option(name, device)
    elif name in EXPERIMENTS:
        row |= time_to_success(EXPERIMENTS[name], device)
    else:
        row |= time_environment(*ENVIRONMENTS[name])
    row["peak_memory_mb"] = row["peak_memory_mb"] or peak_memory_mb()
    return row


def time_pair(name: str, config: Config, rate: float) -> dict[str, Any]:
    """Both implementations in turns, so that whatever else the machine does meets both."""
    work = make_workload(name, load_plain(config["plain"]))
    milliseconds(work.plain), milliseconds(work.fast), milliseconds(work.fast)  # warm-up
    pairs = [(milliseconds(work.plain), milliseconds(work.fast)) for _ in range(config["repeats"])]
    plain, fast = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratios = [p / f for p, f in pairs]
    return {
        "ms": fast,
        "plain_ms": plain,
        "ratio": statistics.median(ratios),
        "ratio_range": [min(ratios), max(ratios)],
        "fraction_of_matmul": work.products / (fast / 1e3) / rate,
        "peak_memory_mb": memory_of(name, "fast", config),
        "plain_peak_memory_mb": memory_of(name, "plain", config),
    }


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
    """Peak resident memory in MB of a process that does nothing but this work, twice."""
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
    work = getattr(make_workload(name, load_plain(config["plain"])), side)
    work()
    work()
    sender.send(peak_memory_mb())


def peak_memory_mb() -> float:
    """The most this process has held in memory, in MB.

    Linux hands ``ru_maxrss`` on to child processes, so its own account of this one is preferred where there is one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def milliseconds(work: Callable[[], Any]) -> float:
    """How long it takes once."""
    start = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - start)


def product_rate(dtype: torch.dtype) -> float:
    """The fastest matrix product of a layer's shape, in floating point operations a second."""
    best = 0.0
    for rows in (1024, 2048, 4096, 8192):
        x, w = torch.randn(rows, 256).to(dtype), torch.randn(256, 256).to(dtype)
        out = torch.empty(rows, 256, dtype=dtype)
        for _ in range(30):
            ms = milliseconds(lambda: torch.mm(x, w, out=out))  # noqa: B023  called at once
            best = max(best, 2 * rows * 256 * 256 / (ms / 1e3))
    return best


def time_environment(overrides: list[str], steps: int) -> dict[str, Any]:
    """Milliseconds a step of one environment alone, on random actions, resets included."""
    env = Environment(EnvConfig.from_mapping(compose("collect", overrides)["env"]))
    random = np.random.default_rng(0)
    env.reset(0)
    actions = random.uniform(env.action_low, env.action_high, (steps, len(env.action_low)))
    start = time.perf_counter()
    for action in actions.astype(np.float32):
        *_, terminated, truncated = env.step(action)
        if terminated or truncated:
            env.reset(0)
    seconds = time.perf_counter() - start
    env.close()
    return {"ms": 1e3 * seconds / steps, "steps_per_second": steps / seconds}


def time_rollout(num_envs: int, device: torch.device) -> dict[str, Any]:
    """Milliseconds a step of closed loop, environment and policy together."""
    checkpoint = load_checkpoint(CHECKPOINT)
    policy = build_policy(checkpoint, device)
    env_config = EnvConfig.from_mapping(checkpoint.config["env"])
    envs = [Environment(env_config) for _ in range(num_envs)]
    seeds = range(100_000, 100_000 + max(3, num_envs))
    start = time.perf_counter()
    episodes = rollout(envs, PolicyActor(policy), seeds, obs_horizon=policy.spec.obs_horizon)
    steps = sum(len(episode) for episode in episodes)
    seconds = time.perf_counter() - start
    return {"ms": 1e3 * seconds / steps, "steps_per_second": steps / seconds}


def describe(row: dict[str, Any]) -> str:
    """One line for a person."""
    if row["ratio"] is None:
        return describe_other(row)
    low, high = row["ratio_range"]
    return (
        f"{row['name']}: {row['ms']:.1f} ms, plain {row['plain_ms']:.1f} ms, {row['ratio']:.1f} times faster "
        f"({low:.1f} to {high:.1f}), {row['fraction_of_matmul']:.0%} of the product rate, "
        f"{row['peak_memory_mb']:.0f} MB (plain {row['plain_peak_memory_mb']:.0f} MB)"
    )


def command(config: Config) -> str:
    """The command line that makes this result again, all rows of it."""
    return f"python scripts/benchmark.py output={config['output']}"
