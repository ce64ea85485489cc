"""The methods command: all ways to train and search side by side, each with the same training time."""

import functools
from collections.abc import Sequence
from pathlib import Path

from benchmarks.config import main, select
from benchmarks.results import ResultTable, Row, remembered
from benchmarks.runs import STEPS, pool, run
from benchmarks.tables.methods import cell_text, methods_table
from benchmarks.toys.bimodal import mean_row, train_and_compare
from ibc.cli.config import Config, at_least
from ibc.device import provenance
from ibc.files import read_json_object
from ibc.training.run_folder import EVALUATION


def methods(config: Config) -> None:
    """The command. Interrupted, it continues where it stopped when it is called again.

    Cells that the result file has are kept, whichever machine made them, unless they were made with other overrides,
    time or seeds: the table may be filled in several sittings, or by two commands with different tasks at once.
    """
    if config["seconds"] is not None:
        at_least(config, seconds=1)
    tasks, names = list(config["tasks"]), list(config["methods"])
    head = {"command": command(config), "tasks": tasks, "methods": names}
    table = ResultTable(
        path=Path(config["output"]),
        key=["task", "method"],
        order=lambda key: (tasks.index(key[0]), names.index(key[1])),  # type: ignore[arg-type]
        head=lambda rows: head,
        accept=lambda result, row: row["task"] in tasks and row["method"] in names,
    )
    about = provenance()  # before results change the working tree
    for task, of_task in select(config["tasks"], config["only_tasks"], "only_tasks").items():
        chosen = select(config["methods"], config["only_methods"], "only_methods")
        for method, of_method in chosen.items():
            more = config["more_seeds"] if method in config["best"] else []
            wanted: Row = {
                "task": task,
                "method": method,
                "seeds": [*config["seeds"], *more],
                "seconds": config["seconds"],
                "overrides": [*of_task, *of_method, *config["overrides"]],
            }
            folder = Path(config["run_dir"]) / task / method
            row = table.fill(wanted, functools.partial(measure_cell, folder, wanted, about))
            print(f"{task}, {method}: {cell_text(row)}", flush=True)
    print("\n".join(methods_table({**head, "rows": table.rows})))
    print(f"file: {config['output']}")


def measure_cell(folder: Path, wanted: Row, about: Row) -> Row:
    """Train and evaluate a method on a task with each seed."""
    cell = bimodal_cell if wanted["task"] == "bimodal" else environment_cell
    return {**cell(folder, wanted["overrides"], wanted["seeds"], wanted["seconds"]), "about": about}


def environment_cell(
    folder: Path, overrides: Sequence[str], seeds: Sequence[int], seconds: float | None
) -> Row:
    """A task in closed loop."""
    runs = [
        run([*overrides, f"run_dir={folder}/seed_{seed}", f"seed={seed}"], seconds)
        for seed in seeds
    ]
    counts = [read_json_object(place / STEPS)["steps"] for place, _ in runs if seconds is not None]
    return {**pool([evaluation for _, evaluation in runs]), "num_steps": counts or None}


def bimodal_cell(
    folder: Path, overrides: Sequence[str], seeds: Sequence[int], seconds: float
) -> Row:
    """The toy with a known density."""
    rows = []
    for seed in seeds:
        wanted = {"overrides": [*overrides, f"seed={seed}"], "seconds": seconds}
        path = folder / f"seed_{seed}" / EVALUATION
        measure = functools.partial(train_and_compare, seed=seed, **wanted)
        rows.append(remembered(path, wanted, measure))
    return mean_row(rows)


def command(config: Config) -> str:
    """The command line that makes the whole table."""
    parts = ["python scripts/methods.py"]
    if config["suite"] != "actions":
        parts.append(f"suite={config['suite']}")
    if config["seconds"] is not None:
        parts.append(f"seconds={config['seconds']}")
    if not config["more_seeds"]:
        parts.append("more_seeds=[]")
    if config["overrides"]:
        inner = ",".join(f"'{override}'" for override in config["overrides"])
        parts.append(f'"overrides=[{inner}]"')
    return " ".join(parts)


if __name__ == "__main__":
    main(methods, "methods")
