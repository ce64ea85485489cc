"""A table over the tasks of a benchmark: published results beside ours, and what could not be run."""

from __future__ import annotations

from typing import Any

from ibc.benchmark.published import PUBLISHED, Score
from ibc.benchmark.tasks import find_task


def task_table(result: dict[str, Any]) -> list[str]:
    """Markdown lines: a row a task, two columns a policy."""
    policies = list(dict.fromkeys(row["policy"] for row in result["rows"])) or ["implicit", "mse"]
    half = "_best_half" if "data.keep_best=0.5" in result["overrides"] else ""
    head = ["task", *(f"{p}, {who}" for p in policies for who in ("published", "ours"))]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    by_task = {(row["task"], row["policy"]): row for row in result["rows"]}
    missing = {entry["task"] for entry in result["missing"]}
    for task in result["tasks"]:
        published = PUBLISHED.get(find_task(task).name, {})
        cells = [task]
        for policy in policies:
            cells.append(_published(published.get(policy + half)))
            row = by_task.get((task, policy))
            cells.append(_ours(row) if row else "no data" if task in missing else "not run")
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", *(f"- {entry['reason']}" for entry in result["missing"])]
    return lines


def _published(score: Score | None) -> str:
    if score is None:
        return "none"
    mean, deviation = score
    return f"{mean:g}" + (f" ± {deviation:g}" if deviation is not None else "")


def _ours(row: dict[str, Any]) -> str:
    """Mean return, deviation over training seeds, benchmark's score, success rate."""
    spread = f" ± {row['return_std']:.3g}" if row["return_std"] is not None else ""
    score = row.get("normalised_score")
    told = [f"score {score:.1f}"] if score is not None else []
    low, high = row["success_rate_ci95"]
    told.append(f"success {row['success_rate']:.1%}, {low:.1%} to {high:.1%}")
    return f"{row['return_mean']:.4g}{spread} ({'; '.join(told)})"
