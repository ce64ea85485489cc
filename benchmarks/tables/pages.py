"""Tables of README and docs, generated from result files between two marks."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from benchmarks.methods import methods_table
from benchmarks.tables.benchmark import benchmark_table
from benchmarks.tables.composition import composition_table
from benchmarks.tables.small import small_table
from benchmarks.tables.studies import experiment_table, task_table
from ibc.errors import UserError
from ibc.files import write_atomically

#: ``<!-- table NAME -->`` ... ``<!-- end -->``: what stands between is replaced by results/NAME.json. Several names are
#: several evaluations of one environment, a row each.
MARK = re.compile(r"(<!-- table (\w+(?: \w+)*) -->\n).*?(<!-- end -->)", re.DOTALL)


def write_tables(root: Path) -> None:
    """Renew every marked table below ``root``."""
    for page in [root / "README.md", *sorted((root / "docs").glob("*.md"))]:
        text = page.read_text(encoding="utf-8")
        new = MARK.sub(lambda m: f"{m[1]}{marked(root / 'results', m[2].split())}{m[3]}", text)
        if new != text:
            write_atomically(page, new.encode())
            print(f"{page.relative_to(root)} written")


def marked(folder: Path, names: list[str]) -> str:
    """The table of one result, or of several evaluations.

    Raises:
        UserError: a result is missing, or several are asked for that are not evaluations on the same episodes.
    """
    if len(names) == 1:
        return table(folder / f"{names[0]}.json")
    results = [read_result(folder / f"{name}.json") for name in names]
    same = ("env_id", "num_episodes", "first_seed")
    for name, result in zip(names, results, strict=True):
        if "episodes" not in result or any(result[key] != results[0].get(key) for key in same):
            raise UserError(
                f"{name} does not fit into one table with {names[0]}: "
                "that takes evaluations of one environment with the same seeds"
            )
    return "\n".join([*evaluation_table(results), ""])


def read_result(path: Path) -> dict[str, Any]:
    """What a command measured.

    Raises:
        UserError: there is no such result.
    """
    if not path.is_file():
        raise UserError(f"no result at {path}")
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return result


def table(path: Path) -> str:
    """One result file as a Markdown table with the command that made it.

    Raises:
        UserError: there is no such result.
    """
    result = read_result(path)
    if "products_per_second" in result:
        lines = benchmark_table(result)
    elif "methods" in result:
        lines = [*methods_table(result), "", f"`{result['command']}`", ""]
    elif "cases" in result:
        lines = composition_table(result)
    elif "rows" not in result:
        lines = [*evaluation_table([result]), ""]
    elif result["rows"] and not {"num_pictures", "relation"}.isdisjoint(result["rows"][0]):
        lines = small_table(result)
    else:
        lines = study_table(result)
    return "\n".join(lines)


def study_table(result: dict[str, Any]) -> list[str]:
    """Lines for policies that were trained and evaluated: a row each, and the command."""
    about = result["about"]
    summarize_reports = list(result["rows"][0].get("report", {})) if result["rows"] else []
    cells = [
        "policy",
        *summarize_reports,
        "success",
        "95 % interval",
        "return",
        "training",
        "ms per decision",
    ]
    head = [f"| {' | '.join(cells).replace('_', ' ')} |", "|---" * len(cells) + "|"]
    rows = [line(row) for row in result["rows"]]
    if "tasks" in result:
        head, rows = [], task_table(result)
    if "experiments" in result:
        head, rows = [], experiment_table(result)
    if not result["rows"]:
        return [*rows, "", f"`{result['command']}`", ""]
    first = result["rows"][0]
    several = "tasks" in result or "experiments" in result
    note = (
        f"`{result['command']}`: {'' if several else first['env_id'] + ', '}training seeds "
        f"{', '.join(map(str, result['seeds']))}, {first['num_episodes']} episodes a policy, seeds from "
        f"{first['first_seed']}; {about['cores']} cores, {about['processor']}. "
    )
    if not several:
        note += (
            "Milliseconds are the median for one decision for "
            f"{first['num_envs']} environments at once. "
        )
    note += (
        "Intervals pool the episodes of all training seeds; ± is the standard deviation between "
        "training seeds."
    )
    return [*head, *rows, "", note, ""]


def evaluation_table(results: list[dict[str, Any]]) -> list[str]:
    """Lines for evaluation files, a row each: whatever acted there, and how long its episodes were."""
    first = results[0]
    head = ["", *(name.replace("_", " ") for name in first.get("report", {}))]
    head += ["success", "95 % interval", "steps"]
    return [
        f"| {' | '.join(head)} |",
        "|---" * len(head) + "|",
        *(f"| {' | '.join(evaluation_cells(result))} |" for result in results),
        "",
        f"{first['env_id']}, {first['num_episodes']} episodes, seeds from {first['first_seed']}.",
    ]


def evaluation_cells(result: dict[str, Any]) -> list[str]:
    """One evaluation: the experiment a policy was trained by, if it was trained, and what it reached."""
    low, high = result["success_rate_ci95"]
    about = result["about"]
    lengths = [row["length"] for row in result["episodes"]]
    return [
        ", ".join(about[key] for key in ("experiment", "policy") if key in about),
        *reported(result.get("report", {})),
        f"{result['success_rate']:.1%}",
        f"{low:.1%} to {high:.1%}",
        f"{sum(lengths) / len(lengths):.0f}",
    ]


def reported(report: dict[str, Any]) -> list[str]:
    """A cell for each number of an environment's own: mean and 95 % interval."""
    return [
        f"{value['mean']:.3f} ({value['ci95'][0]:.3f} to {value['ci95'][1]:.3f})"
        for value in report.values()
    ]


def line(row: dict[str, Any]) -> str:
    """One policy."""
    low, high = row["success_rate_ci95"]
    seconds = row["training_seconds"]
    spread = f" ± {row['return_std']:.2f}" if row["return_std"] is not None else ""
    cells = "".join(f" {cell} |" for cell in reported(row.get("report", {})))
    return (
        f"| {row['policy']} |{cells} {row['success_rate']:.1%} | {low:.1%} to {high:.1%} "
        f"| {row['return_mean']:.2f}{spread} | {sum(seconds) / len(seconds):.0f} s | {row['policy_latency_ms']:.1f} |"
    )
