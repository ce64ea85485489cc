"""Tables of README and docs, generated from result files between two marks."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from ibc.app.methods import methods_table
from ibc.app.tables.benchmark import benchmark_table
from ibc.app.tables.composition import composition_table
from ibc.app.tables.small import small_table
from ibc.app.tables.studies import experiment_table, task_table
from ibc.errors import UserError
from ibc.files import write_atomically

#: ``<!-- table NAME -->`` ... ``<!-- end -->``: what stands between is replaced by results/NAME.json.
MARK = re.compile(r"(<!-- table (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def write_tables(root: Path) -> None:
    """Renew every marked table below ``root``."""
    for page in [root / "README.md", *sorted((root / "docs").glob("*.md"))]:
        text = page.read_text(encoding="utf-8")
        new = MARK.sub(lambda m: f"{m[1]}{table(root / 'results' / f'{m[2]}.json')}{m[3]}", text)
        if new != text:
            write_atomically(page, new.encode())
            print(f"{page.relative_to(root)} written")


def table(path: Path) -> str:
    """One result file as a Markdown table with the command that made it.

    Raises:
        UserError: there is no such result.
    """
    if not path.is_file():
        raise UserError(f"no result at {path}")
    result = json.loads(path.read_text(encoding="utf-8"))
    if "products_per_second" in result:
        lines = benchmark_table(result)
    elif "methods" in result:
        lines = [*methods_table(result), "", f"`{result['command']}`", ""]
    elif "cases" in result:
        lines = composition_table(result)
    elif "rows" not in result:
        lines = [*evaluation_table(result), ""]
    elif result["rows"] and not {"num_pictures", "relation"}.isdisjoint(result["rows"][0]):
        lines = small_table(result)
    else:
        lines = study_table(result)
    return "\n".join(lines)


def study_table(result: dict[str, Any]) -> list[str]:
    """Lines for policies that were trained and evaluated: a row each, and the command."""
    about = result["about"]
    told = list(result["rows"][0].get("report", {})) if result["rows"] else []
    cells = ["policy", *told, "success", "95 % interval", "return", "training", "ms per decision"]
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


def evaluation_table(result: dict[str, Any]) -> list[str]:
    """Lines for one evaluation file: whatever acted there, and how long its episodes were."""
    low, high = result["success_rate_ci95"]
    report = result.get("report", {})
    lengths = [row["length"] for row in result["episodes"]]
    head = ["", *(name.replace("_", " ") for name in report), "success", "95 % interval", "steps"]
    cells = [
        result["about"]["policy"],
        *reported(report),
        f"{result['success_rate']:.1%}",
        f"{low:.1%} to {high:.1%}",
        f"{sum(lengths) / len(lengths):.0f}",
    ]
    return [
        f"| {' | '.join(head)} |",
        "|---" * len(head) + "|",
        f"| {' | '.join(cells)} |",
        "",
        f"{result['env_id']}, {result['num_episodes']} episodes, seeds from {result['first_seed']}.",
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
