"""What several processes give: sweeps, data-parallel training, evaluation and collection."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.config import compose, select
from benchmarks.results import ResultTable, Row, column_table
from benchmarks.timing.quiet import measure_quietly
from ibc.cli.config import Config
from ibc.control import Controller
from ibc.device import provenance
from ibc.env_config import EnvConfig
from ibc.evaluation import evaluate
from ibc.evaluation.collect import make_expert
from ibc.evaluation.parallel import run_episodes
from ibc.files import read_json
from ibc.policies import load_policy

#: A run of a minute, which is long beside the start of a process.
RECIPE = ["experiment=particle_2d", "data.num_episodes=100", "network.width=64", "network.num_blocks=1",
          "trainer.batch_size=128", "trainer.num_steps=4000", "evaluation.num_episodes=10", "video=false"]  # fmt: skip
#: The same, of the size that is trained, for its gradient steps alone.
STEPS = ["experiment=particle_2d", "data.num_episodes=100", "trainer.num_steps=150",
         "evaluation.num_episodes=1", "video=false"]  # fmt: skip
#: Environments whose expert collects: overrides and episodes.
EXPERTS: dict[str, tuple[list[str], int]] = {
    "collect_block_push_pixels": (["env=block_push", "env.pixels=true", "env.image_size=[90,120]"], 48),
    "collect_planar_sweep": (["env=planar_sweep"], 48),
}  # fmt: skip
#: Policies that are evaluated, by so many episodes.
POLICIES = {"evaluate_block_push_pixels": 8, "evaluate_planar_sweep_image": 8}


def measure_processes(config: Config) -> None:
    """Time rows in one process and in ``config["processes"]``, and write them."""
    wanted = select(MEASURES, config["rows"], "rows")
    output, processes = Path(config["output"]), config["processes"]
    head = {
        "command": f"python scripts/benchmark.py processes={processes} output={output}",
        "processes": processes,
        "about": provenance(),
    }
    table = ResultTable(
        path=output,
        key=["name"],
        order=lambda key: list(MEASURES).index(key[0]),  # type: ignore[arg-type]
        head=lambda rows: head,
        accept=lambda _, row: (
            config["rows"] is not None and row["name"] in MEASURES and "one" in row
        ),
    )
    for name, measure in wanted.items():
        row: Row = {"name": name}
        for side, count in (("one", 1), ("several", processes)):
            seconds, cores = measure_quietly(lambda: measure(name, count), tries=1)  # noqa: B023
            row |= {side: seconds, f"cores_of_others_{side}": cores}
        row["ratio"] = row["one"] / row["several"]
        table.add(row)
    print("\n".join(processes_table({**head, "rows": table.rows})))
    print(f"file: {output}")


def time_sweep(name: str, processes: int) -> float:
    """Seconds of four runs from an empty folder, in sequence or side by side."""
    launcher = ["hydra/launcher=joblib", f"hydra.launcher.n_jobs={processes}"]
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        command = ["ibc", "train", "-m", "seed=0,1,2,3", *RECIPE]
        run_module([*command, *(launcher if processes > 1 else [])], folder)
        return time.perf_counter() - start


def time_data_parallel(name: str, processes: int) -> float:
    """Seconds of gradient steps on the same joint batch."""
    torchrun = ["torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", "-m"]
    with tempfile.TemporaryDirectory() as folder:
        command = ["ibc", "train", *STEPS, "run_dir=run"]
        run_module([*(torchrun if processes > 1 else []), *command], folder)
        return float(read_json(Path(folder) / "run/evaluation.json")["about"]["training_seconds"])


def run_module(arguments: list[str], folder: str) -> None:
    """Run ``python -m ...`` there."""
    command = [sys.executable, "-m", *arguments]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)


def time_collection(name: str, processes: int) -> float:
    """Seconds of the expert's episodes, the start of processes included."""
    overrides, count = EXPERTS[name]
    env = compose("collect", overrides)["env"]
    start = time.perf_counter()
    config = EnvConfig.from_mapping(env)
    controller = Controller(make_expert(env["expert"]))
    for _ in run_episodes(config, controller, range(count), num_envs=8, processes=processes):
        pass
    return time.perf_counter() - start


def time_evaluation(name: str, processes: int) -> float:
    """Seconds of a policy's episodes, the start of processes included."""
    path = Path(f"pretrained/{name.removeprefix('evaluate_')}.pt")
    policy: Any = load_policy(path)
    env = compose("evaluate", [f"checkpoint={path}"])["env"]
    seeds = range(100_000, 100_000 + POLICIES[name])
    start = time.perf_counter()
    evaluate(policy, env, seeds=seeds, num_envs=8, processes=processes)
    return time.perf_counter() - start


#: How each row is measured: seconds in so many processes.
MEASURES: dict[str, Callable[[str, int], float]] = {
    "sweep": time_sweep,
    "data_parallel": time_data_parallel,
    **dict.fromkeys(EXPERTS, time_collection),
    **dict.fromkeys(POLICIES, time_evaluation),
}

#: Columns of the table.
COLUMNS: dict[str, Callable[[Row], str]] = {
    "work": lambda row: row["name"],
    "one process": lambda row: f"{row['one']:.1f} s",
    "several": lambda row: f"{row['several']:.1f} s",
    "ratio": lambda row: f"{row['ratio']:.2f}",
    "cores taken by others": lambda row: (
        f"{row['cores_of_others_one']:.2f}, {row['cores_of_others_several']:.2f}"
    ),
}


def processes_table(result: dict[str, Any]) -> list[str]:
    """Markdown lines: seconds in one process and in several."""
    about = result["about"]
    text = f"`{result['command']}`: {result['processes']} processes; {about['cores']} cores, {about['processor']}."
    return [*column_table(COLUMNS, result["rows"]), "", text, ""]
