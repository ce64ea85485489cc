"""The benchmark's result as Markdown."""

from __future__ import annotations

from typing import Any


def benchmark_table(result: dict[str, Any]) -> list[str]:
    """The timed pairs as a table, everything else as a list."""
    lines = [
        "| work | plain | this project | ratio | of the product rate | peak memory, plain | peak memory |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in result["rows"]:
        if row["ratio"] is None:
            continue
        low, high = row["ratio_range"]
        lines.append(
            f"| {row['name']} | {row['plain_ms']:.1f} ms | {row['ms']:.1f} ms "
            f"| {row['ratio']:.1f} ({low:.1f} to {high:.1f}) | {row['fraction_of_matmul']:.0%} "
            f"| {row['plain_peak_memory_mb']:.0f} MB | {row['peak_memory_mb']:.0f} MB |"
        )
    others = [row for row in result["rows"] if row["ratio"] is None]
    lines += ["", *(f"- {describe_other(row)}" for row in others)]
    rates = ", ".join(
        f"{name} {rate / 1e9:.0f} GFLOP/s" for name, rate in result["products_per_second"].items()
    )
    about = result["about"]
    lines += [
        "",
        f"`{result['command']}`: matrix products {rates}; {about['threads']} threads, {about['processor']}. "
        "Ratios are medians of alternating pairs with their range.",
        "",
    ]
    return lines


def describe_other(row: dict[str, Any]) -> str:
    """A row that has no plain counterpart."""
    if "same_best" in row:
        difference = row["action_difference"]
        return (
            f"{row['name']}: the same best of 1,024 candidates at {row['same_best']:.1%} of {row['observations']} "
            f"observations; actions differ by {difference['mean']:.1e} of their range on average, 95 % by less than "
            f"{difference['p95']:.1e}"
        )
    if "course" in row:
        return (
            f"{row['name']}: {row['ms'] / 1e3:.0f} s of training to a success rate of {row['success_rate']:.0%}, "
            f"{row['peak_memory_mb']:.0f} MB"
        )
    if "success_rate_ci95" in row:
        low, high = row["success_rate_ci95"]
        return (
            f"{row['name']}: {row['ms']:.1f} ms a decision, success {row['success_rate']:.0%} ({low:.0%} to {high:.0%}), "
            f"return {row['return_mean']:.2f}"
        )
    return f"{row['name']}: {row['ms']:.2f} ms a step, {row['steps_per_second']:.0f} steps a second"
