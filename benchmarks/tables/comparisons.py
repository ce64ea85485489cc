"""The table of paired comparisons, written by ``ibc compare output=...``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.results import Row, markdown


def comparison_table(results: Sequence[dict[str, Any]]) -> list[str]:
    """Markdown lines: a row for each measure, with the interval of the paired difference, and how it was made."""
    first, second = (side_name(paths) for paths in results[0]["paths"])
    header = ["measure", first, second, "difference", "95 % interval", "p (McNemar)"]
    rows = [
        [
            result["measure"].replace("_", " "),
            *(show(result, result[key]) for key in ("first", "second")),
            show(result, result["difference"], "+"),
            " to ".join(show(result, value, "+") for value in result["interval"]),
            "" if result["mcnemar_p"] is None else f"{result['mcnemar_p']:.2g}",
        ]
        for result in results
    ]
    runs = " and ".join(map(str, results[0]["num_runs"]))
    return [
        *markdown(header, rows),
        "",
        f"`ibc compare` on {results[0]['num_seeds']} evaluation seeds, {runs} training seeds, paired by evaluation seed; "
        "the interval is a bootstrap over training and evaluation seeds.",
    ]


def side_name(paths: Sequence[str]) -> str:
    """The policy of runs in ``.../POLICY/seed_N/evaluation.json``, or the name of the first file."""
    path = Path(paths[0])
    return path.parents[1].name if path.parent.name.startswith("seed_") else path.stem


def show(result: Row, value: float, sign: str = "") -> str:
    """A measure as people read it."""
    if result["measure"] == "success":
        return f"{100 * value:{sign}.1f} {'points' if sign else '%'}"
    return f"{value:{sign}.3f}"
