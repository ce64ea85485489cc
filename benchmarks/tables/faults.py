"""The table of the campaign of faults."""

from typing import Any

from benchmarks.results import markdown


def faults_table(result: dict[str, Any]) -> list[str]:
    """Markdown lines: what was tried, what survived, and how it ended."""
    rows = [
        [
            row["part"],
            str(row["tried"]),
            str(row["survived"]),
            ", ".join(f"{count} {kind}" for kind, count in sorted(row["kinds"].items())),
            f"{row['slowest_seconds']:.0f} s",
            f"{row['seconds'] / 60:.0f} min",
        ]
        for row in result["rows"]
    ]
    counts = [
        f"{count:,} {case}"
        for row in result["rows"]
        for case, count in row.get("counted", {}).items()
    ]
    return [
        *markdown(["part", "tried", "survived", "how they ended", "slowest", "all"], rows),
        "",
        f"`{result['command']}`",
        "",
        *([f"Long runs: {', '.join(counts)}.", ""] if counts else []),
    ]
