"""The tables of policies on a robot: exported ones, a server, and latency."""

from collections.abc import Callable
from typing import Any

from benchmarks.envs.shifted import SHIFTS
from benchmarks.results import Row, column_table, markdown

#: Why actions by the same random numbers may differ, by the search.
WHY = {
    "AutoregressiveDFO": "candidates survive where a random number falls among sums of probabilities; energies that differ "
    "in their last digit let others survive",
    "GradientDescent": "several candidates end with almost the same energy, and its last digit chooses among them",
}

EXPORTED: dict[str, Callable[[Row], str]] = {
    "policy": lambda row: str(row["exported"]),
    "energy, search": lambda row: str(row["kind"]),
    "the same": lambda row: f"{row['same']:.0%}" if "same" in row else row["refused"],
    "largest difference": lambda row: f"{row['largest_difference']:.0e}" if "same" in row else "",
    "torch": lambda row: f"{row['torch_ms']:.1f} ms" if "same" in row else "",
    "onnxruntime": lambda row: f"{row['onnx_ms']:.1f} ms" if "same" in row else "",
}


def export_table(result: dict[str, Any]) -> list[str]:
    """Markdown lines: a row for each policy, and why some actions differ."""
    rows = result["rows"]
    different = {
        row["kind"].rpartition(", ")[2] for row in rows if "same" in row and row["same"] < 1
    }
    return [
        *column_table(EXPORTED, rows),
        "",
        f"`{result['command']}`: {max(row.get('decisions', 0) for row in rows)} decisions of each policy in its own episodes, one "
        "at a time, by one thread, with the same random numbers. Actions are the same where they differ by at most 1e-4, in units "
        f"of the environment or of half the range of the data where that is larger; {result['about']['processor']}.",
        *(f"Where they differ with {name}: {WHY[name]}." for name in sorted(different)),
        "",
    ]


def serve_table(result: dict[str, Any]) -> list[str]:
    """Markdown lines: the overhead of a request, and what came of a load."""
    counts, (before, after) = result["counts"], result["memory_mb"]
    rows = [
        ["policy's own time", f"{result['policy_ms']:.1f} ms"],
        ["more by the server, median", f"{result['overhead_ms']:.1f} ms"],
        ["95 % of requests", f"{result['overhead_p95_ms']:.1f} ms"],
        ["the same for a bare socket", f"{result['socket_p95_ms']:.1f} ms"],
        [f"right answers to {result['clients']} clients", str(counts["answers"] - counts["wrong"])],
        ["wrong answers", str(counts["wrong"])],
        ["safe actions", str(counts["safe"])],
        ["memory before and after", f"{before:.0f} and {after:.0f} MB"],
    ]
    return [
        *markdown(["measure", ""], rows),
        "",
        f"`{result['command']}`, beside {counts['damaged']} damaged messages, {counts['leaving']} clients that left in the middle "
        f"of one, and {counts['reading nothing']} requests whose answers were not read; {counts['disconnects']} of the clients' own "
        f"connections were ended with a request under way; {result['about']['processor']}, {result['about']['cores']} cores.",
        "",
    ]


def latency_table(result: dict[str, Any]) -> list[str]:
    """Markdown lines: success and jerk of each way on each task, a column for each latency."""
    rows = result["rows"]
    latencies = sorted({row["latency_ms"] for row in rows})
    cells: dict[tuple[str, str], dict[int, Row]] = {}
    for row in rows:
        cells.setdefault((row["task"], row["way"]), {})[row["latency_ms"]] = row
    lines = [
        [
            task.replace("_", " "),
            way,
            *(
                f"{own[ms]['success_rate']:.0%}, {own[ms]['jerk']:.3f}" if ms in own else ""
                for ms in latencies
            ),
        ]
        for (task, way), own in cells.items()
    ]
    return [
        *markdown(["task", "way", *(f"{ms} ms" for ms in latencies)], lines),
        "",
        f"`{result['command']}`: success and jerk (root mean square of the third difference of actions, in half-ranges of the "
        f"data) in {rows[0]['num_episodes']} episodes, the same for all, at {result['rate']} steps a second.",
        "",
    ]


def detection_table(result: dict[str, Any]) -> list[str]:
    """Markdown lines: failures by either calibration, and changed scenes; a row for each score."""
    rows = [{**row, "task": row["task"].replace("_", " ")} for row in result["rows"]]
    scores = list(dict.fromkeys(row["score"] for row in rows))

    def grid(
        calibration: str, cell: Callable[[Row], str], column: Callable[[Row], str]
    ) -> list[str]:
        cells: dict[str, dict[str, str]] = {}
        for row in rows:
            if row["calibration"] == calibration:
                cells.setdefault(column(row), {}).setdefault(row["score"], cell(row))
        lines = [[score, *(own.get(score, "") for own in cells.values())] for score in scores]
        return markdown(["score", *cells], [line for line in lines if any(line[1:])])

    by_task: dict[str, Row] = {}
    for row in rows:
        by_task.setdefault(row["task"], row)
    counts = ", ".join(
        f"{row['num_failures']} failures of {row['num_failures'] + row['num_successes']} episodes in {task}"
        for task, row in by_task.items()
    )
    successes = {
        f"{row['task']}, {row['shift']}: {row['success_shifted']:.0%}": None
        for row in rows
        if "success_shifted" in row
    }
    changes = "; ".join(
        f"{shift}: {SHIFTS[shift]}" for shift in dict.fromkeys(row["shift"] for row in rows)
    )
    return [
        "Calibrated on the policy's own successes. Failures that it makes by itself: AUROC (of the first part of episodes, as long as "
        "the median success), false alarms, failures flagged at least one second before their end, median warning of those flagged:",
        "",
        *grid("own successes", _failures, _task),
        "",
        "Calibrated on demonstrations: AUROC, false alarms, failures flagged at least one second before their end:",
        "",
        *grid("demonstrations", _failures_in_short, _task),
        "",
        "Changed scenes, calibrated on own successes: AUROC against all episodes in known scenes (of their first part), and the share that "
        "is flagged (in it):",
        "",
        *grid(
            "own successes",
            _changed,
            lambda row: f"{row['task']}: {row['shift']} {row['size']:g}",
        ),
        "",
        f"`{result['command']}`, wanted rate of false alarms {result['false_alarms']:.0%}, means over {result['window']} judged "
        f"decisions; {counts}. Changes, by their sizes: {changes}. Success in changed scenes, where it and first parts were measured: "
        f"{'; '.join(successes)}.",
        "",
    ]


def _task(row: Row) -> str:
    return str(row["task"])


def _failures(row: Row) -> str:
    if not row["num_failures"]:
        return f"{row['false_alarm_rate']:.0%} false alarms"
    warning = "" if row["warning_s"] is None else f", {row['warning_s']:.1f} s"
    return (
        f"{row['auroc_failures']:.2f} ({row['auroc_same_length']:.2f}), {row['false_alarm_rate']:.0%}, "
        f"{row['early_rate']:.0%}{warning}"
    )


def _failures_in_short(row: Row) -> str:
    if not row["num_failures"]:
        return f"{row['false_alarm_rate']:.0%} false alarms"
    return f"{row['auroc_failures']:.2f}, {row['false_alarm_rate']:.0%}, {row['early_rate']:.0%}"


def _changed(row: Row) -> str:
    first, flagged = row.get("auroc_shifted_same_length"), row.get("flagged_shifted_same_length")
    shares = [f"{row['auroc_shifted']:.2f}", f"{row['flagged_shifted']:.0%}"]
    if first is not None and flagged is not None:
        shares = [f"{shares[0]} ({first:.2f})", f"{shares[1]} ({flagged:.0%})"]
    return ", ".join(shares)


VIOLATIONS: dict[str, Callable[[Row], str]] = {
    "body": lambda row: str(row["body"]),
    "checked": lambda row: str(row["checked"]),
    "fallback": lambda row: str(row["fallback"]).replace("_", " "),
    "steps": lambda row: f"{row['steps']:,}",
    "violations": lambda row: f"{row['violations']:,}",
    "deepest": lambda row: f"{max(row['deepest'], 0):.4f}" if row["violations"] else "",
    "fallbacks": lambda row: f"{row['fallbacks']:,}" if row["fallback"] else "",
    "targets reached": lambda row: f"{row['reached']:.0%}",
}


def constraints_table(result: dict[str, Any]) -> list[str]:
    """Markdown lines: violations of each body, by what is checked and by the fallback."""
    return [
        *column_table(VIOLATIONS, result["rows"]),
        "",
        f"`{result['command']}`: a square room of side 1 with three disks of radius 0.1; depths in its units, a new target every 25 "
        "steps. Points are the positions after each of 20 actions, as in configs/compose, or after the one for set-points and deltas. "
        "The spring is the particle's controller (stiffness 10, damping 5, steps of 50 ms); the oscillator is the same in continuous "
        "time, predicted by steps of 1 ms. No detour is planned, so many bodies wait before a disk.",
        "",
    ]
