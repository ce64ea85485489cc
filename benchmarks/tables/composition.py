"""The table of compositions, from its result file."""

from __future__ import annotations

from typing import Any

#: What a case is, and what is asked of which of its variants.
TITLES = {
    "particle_2d": ("particle 2-D, 1 to 3 disks, half of them moving", "hard: 90 %, contact 1 %"),
    "particle_8d": ("particle 8-D, 1 to 3 balls", "hard: 85 %"),
    "block_push": ("pushing round a zone across the straight way", "hard: 80 %"),
    "corridor": ("goals and corridor, learned apart", "both: 90 %"),
    "habits": ("two habits at the start", "either: 50 ± 10 %; not the second: 2 %"),
    "particle_16d": ("particle 16-D, by iterations", "monotone within intervals"),
    "maze": ("hall with a pocket across the straight way", "trajectory energy: 80 %"),
    "committee": ("door, human, policies of three training seeds", "together above alone"),
    "latency": ("three constraints, one environment", "1.5 times"),
    "doubt": ("doubt at the 95 % quantile", "5 % of what is held out"),
}


def composition_table(result: dict[str, Any]) -> list[str]:
    """Markdown lines: a row a variant, and where the figures come from."""
    lines = ["| case | goal | variant | figures |", "|---|---|---|---|"]
    for name, case in result["cases"].items():
        title, goal = TITLES[name]
        for i, row in enumerate(case["rows"]):
            head = f"{title} | {goal}" if i == 0 else " | "
            lines.append(f"| {head} | {row['variant']} | {_figures(row)} |")
    first = next(iter(result["cases"].values()))
    about = first["about"]
    lines += [
        "",
        f"`{result['command']}`: seeds from {first['first_seed']}, intervals of 95 % (Wilson); "
        f"{about['cores']} cores, {about['processor']}. Breach: contact, or a boundary crossed.",
        "",
    ]
    return lines


def _figures(row: dict[str, Any]) -> str:
    summarize_reports = []
    if "mass_of_second" in row:
        summarize_reports.append(
            f"{row['mass_of_second']:.1%} of the probability near the second goal"
        )
    for key, what in (("success", "success"), ("breach", "breach"), ("raised", "doubted")):
        if f"{key}_rate" in row:
            low, high = row[f"{key}_rate_ci95"]
            name = "as asked" if "mass_of_second" in row else what
            summarize_reports.append(
                f"{name} {row[f'{key}_rate']:.0%} ({low:.0%} to {high:.0%} of {row['num_episodes']})"
            )
    if "return_mean" in row:
        summarize_reports.append(f"return {row['return_mean']:.0f}")
    if "times_without" in row:
        summarize_reports.append(f"{row['decision_ms']:.1f} ms, {row['times_without']:.2f} times")
    return "; ".join(summarize_reports)
