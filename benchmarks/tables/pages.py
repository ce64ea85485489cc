"""Tables of README and docs, generated from result files between two marks."""

import re
from pathlib import Path

from benchmarks.results import read_result
from benchmarks.tables.comparisons import comparison_table
from benchmarks.tables.composition import composition_table
from benchmarks.tables.methods import methods_table
from benchmarks.tables.robot import export_table, latency_table, serve_table
from benchmarks.tables.studies import evaluation_table, study_table
from benchmarks.tables.timing import timing_table
from benchmarks.tables.toys import toy_table
from ibc.errors import UserError
from ibc.files import write_atomically

#: ``<!-- table NAME -->`` ... ``<!-- end -->``: the text between them is generated from results/NAME.json. Several
#: names are several evaluations of one environment, a row each.
MARK = re.compile(r"(<!-- table (\w+(?: \w+)*) -->\n).*?(<!-- end -->)", re.DOTALL)


def write_tables(root: Path) -> None:
    """Renew every marked table below ``root``."""
    for page in [root / "README.md", *sorted((root / "docs").glob("*.md"))]:
        text = page.read_text(encoding="utf-8")
        new = MARK.sub(lambda m: f"{m[1]}{marked(root / 'results', m[2].split())}{m[3]}", text)
        if new != text:
            write_atomically(page, new.encode())
            print(f"{page.relative_to(root)} written")


def marked(folder: Path, names: list[str]) -> str:
    """The table of one result, or of several evaluations.

    Raises:
        UserError: a result is missing, or several are asked for that are not evaluations on the same episodes.
    """
    if len(names) == 1:
        return table(folder / f"{names[0]}.json")
    results = [read_result(folder / f"{name}.json") for name in names]
    if all("difference" in result for result in results):
        return "\n".join([*comparison_table(results), ""])
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
    columns = set(result["rows"][0]) if result.get("rows") else set()
    if "overhead_ms" in result:
        lines = serve_table(result)
    elif "rows" not in result:
        lines = evaluation_table([result])
    elif "products_per_second" in result:
        lines = timing_table(result)
    elif "methods" in result:
        lines = [*methods_table(result), "", f"`{result['command']}`", ""]
    elif "exported" in columns:
        lines = export_table(result)
    elif "way" in columns:
        lines = latency_table(result)
    elif "case" in columns:
        lines = composition_table(result)
    elif columns & {"relation", "num_images"}:
        lines = toy_table(result)
    else:
        lines = study_table(result)
    return "\n".join(lines)
