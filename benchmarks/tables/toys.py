"""Tables of the toys: function fits and coordinate regression."""

from typing import Any

from benchmarks.results import column_table


def toy_table(result: dict[str, Any]) -> list[str]:
    """Markdown lines: a row for each policy on each problem."""
    rows, about = result["rows"], result["about"]
    fits = {
        "relation": lambda row: row["relation"],
        "policy": lambda row: row["policy"],
        "right within 0.05": lambda row: f"{row['right']:.1%}",
    }
    coordinates = {
        "images": lambda row: str(row["num_images"]),
        "policy": lambda row: row["policy"],
        "within one pixel": lambda row: f"{row['within_one_pixel']:.1%}",
        "squared error inside the hull": lambda row: f"{row['mse_inside']:.2g} px²",
        "outside": lambda row: f"{row['mse_outside']:.2g} px²",
    }
    training = {"training": lambda row: f"{row['training_seconds']:.0f} s"}
    source = f"`{result['command']}`; {about['cores']} cores, {about['processor']}."
    columns = fits if "relation" in rows[0] else coordinates
    return [*column_table(columns | training, rows), "", source, ""]
