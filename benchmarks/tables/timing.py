"""The table of timings."""

from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.results import Row, column_table

#: Columns of the pairs of implementations.
PAIR: dict[str, Callable[[Row], str]] = {
    "work": lambda row: row["name"],
    "plain": lambda row: f"{row['plain_ms']:.1f} ms",
    "plain, one graph": lambda row: f"{row['plain_graph_ms']:.1f} ms",
    "plain, bfloat16": lambda row: f"{row['plain_autocast_ms']:.1f} ms",
    "this project": lambda row: f"{row['ms']:.1f} ms",
    "ratio": lambda row: "{:.1f} ({:.1f} to {:.1f})".format(row["ratio"], *row["ratio_range"]),
    "of the product rate": lambda row: f"{row['fraction_of_matmul']:.0%}",
    "peak memory, plain": lambda row: f"{row['plain_peak_memory_mb']:.0f} MB",
    "peak memory": lambda row: f"{row['peak_memory_mb']:.0f} MB",
}


def timing_table(result: dict[str, Any]) -> list[str]:
    """Markdown lines: pairs of implementations as a table, everything else as a list."""
    pairs = [row for row in result["rows"] if row["ratio"] is not None]
    others = [row for row in result["rows"] if row["ratio"] is None]
    rates = ", ".join(
        f"{name} {rate / 1e9:.0f} GFLOP/s" for name, rate in result["products_per_second"].items()
    )
    about = result["about"]
    return [
        *column_table(columns_of(pairs), pairs),
        "",
        *(f"- {describe(row)}" for row in others),
        "",
        f"`{result['command']}`: matrix products {rates}; {about['threads']} threads, {about['gpu'] or about['processor']}. "
        "Ratios are medians of alternating pairs with their range.",
        "",
    ]


def columns_of(pairs: Sequence[Row]) -> dict[str, Callable[[Row], str]]:
    """The columns for which these rows have a number: graphs are of a GPU, bfloat16 by autocast is of a CPU."""
    keys = {"plain, one graph": "plain_graph_ms", "plain, bfloat16": "plain_autocast_ms"}
    return {
        title: text
        for title, text in PAIR.items()
        if title not in keys or all(keys[title] in row for row in pairs)
    }


def describe(row: Row) -> str:
    """A row in one line."""
    if row["ratio"] is not None:
        return ", ".join(text(row) for text in columns_of([row]).values())
    if "same_best" in row:
        difference = row["action_difference"]
        return (
            f"{row['name']}: the same best of 1,024 candidates at {row['same_best']:.1%} of {row['observations']} "
            f"observations; actions differ by {difference['mean']:.1e} of their range on average, 95 % by less than "
            f"{difference['p95']:.1e}"
        )
    if "course" in row:
        return (
            f"{row['name']}: {row['ms'] / 1e3:.0f} s of training, success {row['success_rate']:.0%}, "
            f"{row['peak_memory_mb']:.0f} MB"
        )
    if "success_rate_ci95" in row:
        low, high = row["success_rate_ci95"]
        return (
            f"{row['name']}: {row['ms']:.1f} ms a decision, success {row['success_rate']:.0%} ({low:.0%} to {high:.0%}), "
            f"return {row['return_mean']:.2f}"
        )
    return f"{row['name']}: {row['ms']:.2f} ms a step, {row['steps_per_second']:.0f} steps a second"
