"""The table of compositions."""

from typing import Any

from benchmarks.results import Row, markdown

#: Title of each case, and the goal set for it.
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
    "ood_score": ("OOD score at the 95 % quantile", "5 % of what is held out"),
    "verified": ("sorting, samples of other policies judged by an energy", "more samples help"),
}


def composition_table(result: dict[str, Any]) -> list[str]:
    """Markdown lines: a row a variant, and the command."""
    cells = []
    for case in result["rows"]:
        title = TITLES[case["case"]]
        for i, variant in enumerate(case["variants"]):
            cells.append([*(title if i == 0 else ("", "")), variant["variant"], metrics(variant)])
    first = result["rows"][0]
    about = first["about"]
    return [
        *markdown(["case", "goal", "variant", "metrics"], cells),
        "",
        f"`{result['command']}`: seeds from {first['first_seed']}, intervals of 95 % (Wilson); "
        f"{about['cores']} cores, {about['processor']}. Breach: contact, or a boundary crossed.",
        "",
    ]


def metrics(row: Row) -> str:
    """The metrics of a variant."""
    parts = []
    if "mass_of_second" in row:
        parts.append(f"{row['mass_of_second']:.1%} of the probability near the second goal")
    for key, what in (("success", "success"), ("breach", "breach"), ("flagged", "flagged")):
        if f"{key}_rate" in row:
            low, high = row[f"{key}_rate_ci95"]
            name = "as asked" if "mass_of_second" in row else what
            parts.append(
                f"{name} {row[f'{key}_rate']:.0%} ({low:.0%} to {high:.0%} of {row['num_episodes']})"
            )
    if "sorted_fraction" in row:
        parts.append(f"sorted {row['sorted_fraction']:.1%}, {row['decision_ms']:.0f} ms")
    if "return_mean" in row:
        parts.append(f"return {row['return_mean']:.0f}")
    if "times_without" in row:
        parts.append(f"{row['decision_ms']:.1f} ms, {row['times_without']:.2f} times")
    return "; ".join(parts)
