"""Tables of the small problems: function fits and coordinate regression."""

from __future__ import annotations

from typing import Any


def small_table(result: dict[str, Any]) -> list[str]:
    """Markdown lines: a row for each policy on each problem."""
    rows = result["rows"]
    if "num_pictures" in rows[0]:
        head = [
            "pictures",
            "policy",
            "within one pixel",
            "squared error inside the hull",
            "outside",
        ]
        cells = [
            [
                str(row["num_pictures"]),
                row["policy"],
                f"{row['within_one_pixel']:.1%}",
                f"{row['mse_inside']:.2g} px²",
                f"{row['mse_outside']:.2g} px²",
            ]
            for row in rows
        ]
    else:
        head = ["relation", "policy", "right within 0.05"]
        cells = [[row["relation"], row["policy"], f"{row['right']:.1%}"] for row in rows]
    seconds = [f"{row['training_seconds']:.0f} s" for row in rows]
    return [
        f"| {' | '.join(head)} | training |",
        "|---" * (len(head) + 1) + "|",
        *(f"| {' | '.join(c)} | {s} |" for c, s in zip(cells, seconds, strict=True)),
        "",
        f"`{result['command']}`; {result['about']['cores']} cores, {result['about']['processor']}.",
        "",
    ]
