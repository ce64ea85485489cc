"""The methods command: every way to train and search side by side, each with the same time."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.studies import is_done, pool
from benchmarks.toys.bimodal import bimodal_cell
from ibc.cli.config import Config, at_least, compose
from ibc.cli.evaluate import write_json
from ibc.cli.train import prepare, train_in
from ibc.device import configure_device, provenance
from ibc.errors import UserError
from ibc.training.run_folder import EVALUATION, run_folder
from ibc.training.trainer import Trainer

#: How many gradient steps a method's time was found to hold; kept, so that a continued run does not measure again.
STEPS = "steps.json"
#: Steps before the clock starts, and steps that are timed.
BEFORE, TIMED = 3, 12


def methods(config: Config) -> None:
    """The command. Interrupted, it goes on where it stopped when it is called again.

    Cells that the result file has are kept, whichever machine made them, unless they were made with other overrides,
    time or seeds: the table may be filled in several sittings, or by two commands with different tasks at once.
    """
    at_least(config, seconds=1)
    tasks = chosen(config["tasks"], config["only_tasks"], "only_tasks")
    ways = chosen(config["methods"], config["only_methods"], "only_methods")
    output = Path(config["output"])
    about = provenance()  # of the code that runs: what is written here changes the tree
    for task, task_overrides in tasks.items():
        for method, method_overrides in ways.items():
            more = config["more_seeds"] if method in config["best"] else []
            wanted = {
                "task": task,
                "method": method,
                "seeds": [*config["seeds"], *more],
                "seconds": config["seconds"],
                "overrides": [*task_overrides, *method_overrides, *config["overrides"]],
            }
            row = earlier_cells(output).get((task, method), {})
            if {**row, **wanted} != row:
                cell = bimodal_runs if task == "bimodal" else environment_runs
                folder = Path(config["run_dir"]) / task / method
                figures = cell(folder, wanted["overrides"], wanted["seeds"], config["seconds"])
                row = {**wanted, **figures, "about": about}
            # Read once more: another command may have added cells meanwhile.
            cells = {**earlier_cells(output), (task, method): row}
            result = {
                "command": command(config),
                "tasks": list(config["tasks"]),
                "methods": list(config["methods"]),
                "rows": [
                    cells[key]
                    for key in itertools.product(config["tasks"], config["methods"])
                    if key in cells
                ],
            }
            write_json(output, result)
            print(f"{task}, {method}: {cell_text(row)}", flush=True)
    print(f"file: {output}")


def earlier_cells(path: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """What a result file holds, by task and method; nothing where there is none."""
    if not path.exists():
        return {}
    return {(row["task"], row["method"]): row for row in json.loads(path.read_text())["rows"]}


def environment_runs(
    folder: Path, overrides: Sequence[str], seeds: Sequence[int], seconds: float
) -> dict[str, Any]:
    """A cell of the table: trained for so many seconds with each seed, evaluated in closed loop."""
    evaluations = []
    for seed in seeds:
        run_dir = folder / f"seed_{seed}"
        always = [f"run_dir={run_dir}", f"seed={seed}", "resume=true", "video=false"]
        with run_folder(run_dir, resume=True):
            steps = measured_steps(run_dir, [*overrides, *always], seconds)
            run = compose("train", [*overrides, *always, f"trainer.num_steps={steps}"])
            if is_done(run_dir, run):
                evaluations.append(json.loads((run_dir / EVALUATION).read_text()))
            else:
                evaluations.append(train_in(run_dir, run))
    return pool(evaluations)


def bimodal_runs(
    folder: Path, overrides: Sequence[str], seeds: Sequence[int], seconds: float
) -> dict[str, Any]:
    """A cell of the toy with a known density."""
    rows = []
    for seed in seeds:
        path = folder / f"seed_{seed}" / EVALUATION
        wanted = {"overrides": list(overrides), "seconds": seconds}
        if path.exists() and json.loads(path.read_text())["wanted"] == wanted:
            rows.append(json.loads(path.read_text()))
            continue
        rows.append(bimodal_cell([*overrides, f"seed={seed}"], seed, seconds, steps_within))
        rows[-1]["wanted"] = wanted
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, rows[-1])
    kl = [row["kl"] for row in rows if row["kl"] is not None]
    mean = {
        key: sum(row[key] for row in rows) / len(rows)
        for key in ("right", "balance", "log_density", "policy_latency_ms")
    }
    return {
        **mean,
        "kl": sum(kl) / len(kl) if kl else None,
        "num_episodes": sum(row["num_episodes"] for row in rows),
        "training_seconds": [row["training_seconds"] for row in rows],
    }


def measured_steps(run_dir: Path, overrides: list[str], seconds: float) -> int:
    """How many steps fit into the time, measured once for each run."""
    path = run_dir / STEPS
    if path.exists():
        known = json.loads(path.read_text())
        if known["overrides"] == overrides and known["seconds"] == seconds:
            return int(known["steps"])
    run = compose("train", overrides)
    device = configure_device(run["device"], run["precision"])
    torch.manual_seed(run["seed"])
    trainer, _ = prepare(run_dir, {**run, "resume": False}, device)
    steps = steps_within(trainer, seconds)
    write_json(path, {"steps": steps, "seconds": seconds, "overrides": overrides})
    return steps


def steps_within(trainer: Trainer, seconds: float) -> int:
    """How many gradient steps take so long, two digits of it; the trainer is used up."""
    for _ in range(BEFORE):
        trainer.train_step()
    start = time.perf_counter()
    for _ in range(TIMED):
        trainer.train_step()
    count = max(1, int(TIMED * seconds / (time.perf_counter() - start)))
    unit = int(10 ** max(0, len(str(count)) - 2))
    return count // unit * unit


def chosen(every: dict[str, Any], names: list[str] | None, key: str) -> dict[str, Any]:
    """The part of the table that is asked for.

    Raises:
        UserError: a name that is not there.
    """
    if names is None:
        return every
    unknown = [name for name in names if name not in every]
    if unknown:
        raise UserError(f"{key} has {', '.join(unknown)}; allowed: {', '.join(every)}")
    return {name: every[name] for name in names}


def command(config: Config) -> str:
    """The command line that makes the whole table."""
    parts = ["python scripts/methods.py", f"seconds={config['seconds']}"]
    if not config["more_seeds"]:
        parts.append("more_seeds=[]")
    if config["overrides"]:
        inner = ",".join(f"'{override}'" for override in config["overrides"])
        parts.append(f'"overrides=[{inner}]"')
    return " ".join(parts)


def cell_text(row: dict[str, Any]) -> str:
    """One cell of the table."""
    if "success_rate" in row:
        low, high = row["success_rate_ci95"]
        return f"{row['success_rate']:.1%} ({low:.0%} to {high:.0%})"
    kl = "" if row["kl"] is None else f", KL {row['kl']:.2f}"
    return f"{row['right']:.1%}, balance {row['balance']:.2f}{kl}"


def methods_table(result: dict[str, Any]) -> list[str]:
    """Markdown lines: a row a method, a column a task, then training time and milliseconds for a decision.

    Below it: which training seeds each method has had, and the methods and tasks of which nothing was run.
    """
    cells = {(row["method"], row["task"]): row for row in result["rows"]}
    tasks = [task for task in result["tasks"] if any(task == other for _, other in cells)]
    ways = [method for method in result["methods"] if any(method == other for other, _ in cells)]
    lines = [
        f"| method | {' | '.join(tasks)} | training | ms |",
        "|---" * (len(tasks) + 3) + "|",
    ]
    for method in ways:
        mine = [cells[method, task] for task in tasks if (method, task) in cells]
        texts = [
            cell_text(cells[method, task]) if (method, task) in cells else "not run"
            for task in tasks
        ]
        seconds = [s for row in mine for s in row["training_seconds"]]
        milliseconds = [row["policy_latency_ms"] for row in mine]
        training = f"{min(seconds):.0f} to {max(seconds):.0f} s"
        spread = f"{min(milliseconds):.1f} to {max(milliseconds):.1f}"
        lines.append(f"| {method} | {' | '.join(texts)} | {training} | {spread} |")
    lines += ["", f"Training seeds: {seeds_text(ways, result['rows'])}."]
    missing = [name for name in result["tasks"] if name not in tasks]
    missing += [name for name in result["methods"] if name not in ways]
    return [*lines, "", f"Not run: {', '.join(missing)}."] if missing else lines


def seeds_text(ways: Sequence[str], rows: Sequence[dict[str, Any]]) -> str:
    """Which training seeds the methods have had; those that most have had first, without their names."""
    of_seeds: dict[str, list[str]] = {}
    for method in ways:
        had = {", ".join(map(str, row["seeds"])) for row in rows if row["method"] == method}
        of_seeds.setdefault(" or ".join(sorted(had)), []).append(method)
    (usual, _), *others = sorted(of_seeds.items(), key=lambda item: -len(item[1]))
    return "; ".join([usual, *(f"{seeds} of {', '.join(names)}" for seeds, names in others)])
