"""Tables of README and docs, generated from result files between two marks."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.predictors import predictor_table
from benchmarks.reproducibility import reproducibility_table
from benchmarks.results import Row, read_result
from benchmarks.scale import scale_table
from benchmarks.tables.comparisons import comparison_table
from benchmarks.tables.composition import composition_table
from benchmarks.tables.faults import faults_table
from benchmarks.tables.methods import methods_table
from benchmarks.tables.robot import (
    constraints_table,
    detection_table,
    export_table,
    latency_table,
    serve_table,
)
from benchmarks.tables.studies import evaluation_table, side_by_side_table, study_table
from benchmarks.tables.timing import timing_table
from benchmarks.tables.toys import toy_table
from benchmarks.timing.beside import beside_table
from benchmarks.timing.processes import processes_table
from ibc.errors import UserError
from ibc.files import write_atomically

#: ``<!-- table NAME -->`` ... ``<!-- end -->``: the text between them is generated from results/NAME.json. Several
#: names are several evaluations of one environment, a row each, or several studies, whose policies stand side by side.
MARK = re.compile(r"(<!-- table (\w+(?: \w+)*) -->\n).*?(<!-- end -->)", re.DOTALL)


def write_tables(root: Path) -> None:
    """Renew every marked table below ``root``."""
    for page in [root / "README.md", *sorted((root / "docs").rglob("*.md"))]:
        text = page.read_text(encoding="utf-8")
        new = MARK.sub(lambda m: f"{m[1]}{marked(root / 'results', m[2].split())}{m[3]}", text)
        if new != text:
            write_atomically(page, new.encode())
            print(f"{page.relative_to(root)} written")


def marked(folder: Path, names: list[str]) -> str:
    """The table of one result, or of several evaluations.

    Raises:
        UserError: a result is missing, or several are asked for that are neither comparisons, nor studies, nor
            evaluations on the same episodes.
    """
    if len(names) == 1:
        return table(folder / f"{names[0]}.json")
    results = [read_result(folder / f"{name}.json") for name in names]
    if all("difference" in result for result in results):
        return "\n".join([*comparison_table(results), ""])
    if all("experiment" in result and "rows" in result for result in results):
        return "\n".join(side_by_side_table(results))
    same = ("env_id", "num_episodes", "first_seed")
    for name, result in zip(names, results, strict=True):
        if "episodes" not in result or any(result[key] != results[0].get(key) for key in same):
            raise UserError(
                f"{name} does not fit into one table with {names[0]}: "
                "that takes evaluations of one environment with the same seeds"
            )
    return "\n".join(evaluation_table(results))


def table(path: Path) -> str:
    """One result file as a Markdown table with the command that made it.

    Raises:
        UserError: there is no such result.
    """
    result = read_result(path)
    entries = {*result, *(result["rows"][0] if result.get("rows") else ())}
    if "rows" not in result and "overhead_ms" not in result:
        return "\n".join(evaluation_table([result]))
    make = next((make for entry, make in TABLES.items() if entry in entries), study_table)
    return "\n".join(make(result))


def _methods(result: Row) -> list[str]:
    return [*methods_table(result), "", f"`{result['command']}`", ""]


#: What makes the table of a result that has this entry, or this column; the first that is found.
TABLES: Mapping[str, Callable[[Row], list[str]]] = {
    "part": faults_table,
    "exact_different": reproducibility_table,
    "overhead_ms": serve_table,
    "correlations": predictor_table,
    "beside": beside_table,
    "plan": scale_table,
    "processes": processes_table,
    "products_per_second": timing_table,
    "methods": _methods,
    "checked": constraints_table,
    "exported": export_table,
    "way": latency_table,
    "calibration": detection_table,
    "case": composition_table,
    "relation": toy_table,
    "num_images": toy_table,
}
