"""The table of methods: a row a method, a column a task."""

from collections.abc import Sequence
from typing import Any

from benchmarks.results import Row, markdown
from benchmarks.tables.held_out import error_text, held_out_table


def methods_table(result: dict[str, Any]) -> list[str]:
    """Markdown lines: success of each method on each task, training time and milliseconds for a decision.

    Below it: which training seeds each method has had, and the methods and tasks of which nothing was run.
    """
    if any("held_out" in row for row in result["rows"]):
        return held_out_table(result)
    cells = {(row["method"], row["task"]): row for row in result["rows"]}
    tasks = [task for task in result["tasks"] if any(task == other for _, other in cells)]
    methods = [name for name in result["methods"] if any(name == other for other, _ in cells)]
    at_once = max((row.get("runs_at_once", 1) for row in result["rows"]), default=1)
    rows = []
    for method in methods:
        own = [cells[method, task] for task in tasks if (method, task) in cells]
        seconds = [s for row in own for s in row["training_seconds"]]
        latencies = [row["policy_latency_ms"] for row in own]
        rows.append(
            [
                method,
                *(cell_text(cells.get((method, task))) for task in tasks),
                f"{min(seconds):.0f} to {max(seconds):.0f} s",
                f"{min(latencies):.1f} to {max(latencies):.1f}",
            ][: 1 + len(tasks) + 2 * (at_once == 1)]
        )
    lines = markdown(["method", *tasks, *(["training", "ms"] if at_once == 1 else [])], rows)
    if at_once > 1:
        lines += ["", f"Up to {at_once} runs shared the machine, so their times are left out."]
    if methods:
        lines += ["", f"Training seeds: {seeds_text(methods, result['rows'])}."]
    missing = [
        name for name in (*result["tasks"], *result["methods"]) if name not in tasks + methods
    ]
    return [*lines, "", f"Not run: {', '.join(missing)}."] if missing else lines


def cell_text(row: Row | None) -> str:
    """One cell of the table."""
    if row is None:
        return "not run"
    if "held_out" in row:
        return error_text(row)
    if "success_rate" in row:
        low, high = row["success_rate_ci95"]
        success = f"{row['success_rate']:.1%} ({low:.0%} to {high:.0%})"
        reported = [
            f"{name.replace('_', ' ')} {value['mean']:.3f} ({value['ci95'][0]:.2f} to {value['ci95'][1]:.2f})"
            for name, value in row.get("report", {}).items()
        ]
        return ", ".join([*reported, f"success {success}"]) if reported else success
    kl = "" if row["kl"] is None else f", KL {row['kl']:.2f}"
    return f"{row['right']:.1%}, balance {row['balance']:.2f}{kl}"


def seeds_text(methods: Sequence[str], rows: Sequence[Row]) -> str:
    """The training seeds of the methods; those that most have had first, without their names."""
    of_seeds: dict[str, list[str]] = {}
    for method in methods:
        seeds = {", ".join(map(str, row["seeds"])) for row in rows if row["method"] == method}
        of_seeds.setdefault(" or ".join(sorted(seeds)), []).append(method)
    (usual, _), *others = sorted(of_seeds.items(), key=lambda item: -len(item[1]))
    return "; ".join([usual, *(f"{seeds} of {', '.join(names)}" for seeds, names in others)])
