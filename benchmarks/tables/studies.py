"""A table over the tasks of a benchmark: published results beside ours, and what could not be run."""

from __future__ import annotations

from typing import Any

from ibc.d4rl.published import PUBLISHED, Score
from ibc.d4rl.tasks import find_task


def task_table(result: dict[str, Any]) -> list[str]:
    """Markdown lines: a row a task, two columns a policy; none for a task without data and without published scores."""
    policies = list(dict.fromkeys(row["policy"] for row in result["rows"])) or ["implicit", "mse"]
    half = "_best_half" if result["experiment"] == "d4rl_best_half" else ""
    head = ["task", *(f"{p}, {who}" for p in policies for who in ("published", "ours"))]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    by_task = {(row["task"], row["policy"]): row for row in result["rows"]}
    missing = {entry["task"]: entry["reason"] for entry in result["missing"]}
    reasons = []
    for task in result["tasks"]:
        published = PUBLISHED.get(find_task(task).name, {})
        if task in missing:
            if not any(policy + half in published for policy in policies):
                continue
            reasons.append(f"- {missing[task]}")
        cells = [task]
        for policy in policies:
            cells.append(_published(published.get(policy + half)))
            row = by_task.get((task, policy))
            cells.append(_ours(row) if row else "no data" if task in missing else "not run")
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, "", *reasons]


def experiment_table(result: dict[str, Any]) -> list[str]:
    """Markdown lines: a row an experiment and policy, and what is published of it (success, %)."""
    summarize_reports = list(
        dict.fromkeys(name for row in result["rows"] for name in row.get("report", {}))
    )
    head = [
        "experiment",
        "policy",
        "published",
        *summarize_reports,
        "success",
        "95 % interval",
        "training",
    ]
    lines = [f"| {' | '.join(head).replace('_', ' ')} |", "|---" * len(head) + "|"]
    for row in result["rows"]:
        published = result["published"].get(row["task"], {}).get(row["policy"])
        low, high = row["success_rate_ci95"]
        seconds = row["training_seconds"]
        cells = [row["task"], row["policy"], "none" if published is None else f"{published:g}"]
        cells += [_reported(row.get("report", {}).get(name)) for name in summarize_reports]
        cells += [f"{row['success_rate']:.1%}", f"{low:.1%} to {high:.1%}"]
        lines.append(f"| {' | '.join(cells)} | {sum(seconds) / len(seconds):.0f} s |")
    return lines


def _reported(value: dict[str, Any] | None) -> str:
    if value is None:
        return ""
    return f"{value['mean']:.3f} ({value['ci95'][0]:.3f} to {value['ci95'][1]:.3f})"


def _published(score: Score | None) -> str:
    if score is None:
        return "none"
    mean, deviation = score
    return f"{mean:g}" + (f" ± {deviation:g}" if deviation is not None else "")


def _ours(row: dict[str, Any]) -> str:
    """Mean return, deviation over training seeds, benchmark's score, success rate."""
    spread = f" ± {row['return_std']:.3g}" if row["return_std"] is not None else ""
    score = row.get("normalized_score")
    summarize_reports = [f"score {score:.1f}"] if score is not None else []
    low, high = row["success_rate_ci95"]
    summarize_reports.append(f"success {row['success_rate']:.1%}, {low:.1%} to {high:.1%}")
    return f"{row['return_mean']:.4g}{spread} ({'; '.join(summarize_reports)})"
