"""The table of errors on held-out demonstrations: a row a data set and encoder, a column a policy."""

from typing import Any

from benchmarks.results import Row, markdown


def held_out_table(result: dict[str, Any]) -> list[str]:
    """Markdown lines: the error of each policy's actions, as a share of their range, and the time of training."""
    cells = {(row["task"], row["method"]): row for row in result["rows"]}
    tasks = [task for task in result["tasks"] if any(task == other for other, _ in cells)]
    methods = [name for name in result["methods"] if any(name == other for _, other in cells)]
    rows = []
    for task in tasks:
        own = [cells[task, method] for method in methods if (task, method) in cells]
        longest = max(seconds for row in own for seconds in row["training_seconds"])
        rows.append(
            [
                task.replace("_", " "),
                f"{own[0]['num_episodes']} + {own[0]['held_out_episodes']}",
                *(error_text(cells.get((task, method))) for method in methods),
                f"up to {longest / 60:.0f} min" if longest >= 100 else f"up to {longest:.0f} s",
            ]
        )
    return markdown(["data and encoder", "episodes", *methods, "training"], rows)


def error_text(row: Row | None) -> str:
    """The error of each training seed, their mean first where there are several."""
    if row is None:
        return "not run"
    errors = [f"{each['action_error_of_range']:.2%}" for each in row["held_out_by_seed"]]
    if len(errors) == 1:
        return errors[0]
    return f"{row['held_out']['action_error_of_range']:.2%} ({', '.join(errors)})"
