"""The benchmark command: this project beside a plain implementation, in one run on one machine."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from benchmarks.config import main, select
from benchmarks.results import ResultTable, Row
from benchmarks.tables.timing import describe, timing_table
from benchmarks.timing.accuracy import ACCURACIES, accuracy
from benchmarks.timing.beside import measure_beside
from benchmarks.timing.closed_loop import (
    ENVIRONMENTS,
    EXPERIMENTS,
    OPTIONS,
    ROLLOUTS,
    measure_option,
    time_environment,
    time_rollout,
    time_to_success,
)
from benchmarks.timing.pairs import measure_product_rate, peak_memory_mb, time_pair
from benchmarks.timing.processes import measure_processes
from benchmarks.timing.recipes import RECIPES, time_training
from benchmarks.timing.workloads import NAMES
from ibc.cli.config import Config, at_least
from ibc.device import configure_device, provenance
from ibc.evaluation import style
from ibc.evaluation.plots import png
from ibc.files import write_atomically
from ibc.progress import track

#: How rows without a plain counterpart are measured.
MEASURES: dict[str, Callable[[str, torch.device], Row]] = {
    **dict.fromkeys(RECIPES, time_training),
    **dict.fromkeys(ACCURACIES, accuracy),
    **dict.fromkeys(ENVIRONMENTS, time_environment),
    **dict.fromkeys(ROLLOUTS, time_rollout),
    **dict.fromkeys(OPTIONS, measure_option),
    **dict.fromkeys(EXPERIMENTS, time_to_success),
}
ROWS = (*NAMES, *MEASURES)


def benchmark(config: Config) -> None:
    """The command: time, print and write. Rows that are asked for by name replace those of an earlier result."""
    device = configure_device(config["device"], config["precision"])
    at_least(config, repeats=1, beside=0, processes=0)
    if config["beside"]:
        measure_beside(config)
        return
    if config["processes"]:
        measure_processes(config)
        return
    wanted = select(dict.fromkeys(ROWS), config["rows"], "rows")
    rates = {str(t)[6:]: measure_product_rate(t, device) for t in (torch.float32, torch.bfloat16)}
    output = Path(config["output"])
    head = {
        "command": f"python scripts/benchmark.py output={output}",
        "products_per_second": rates,
        "about": {**provenance(), "threads": torch.get_num_threads()},
    }
    table = ResultTable(
        path=output,
        key=["name"],
        order=lambda key: ROWS.index(key[0]),  # type: ignore[arg-type]
        head=lambda rows: head,
        accept=lambda _, row: config["rows"] is not None and row["name"] in ROWS and "ms" in row,
    )
    for name in track(wanted, "timing", len(wanted), "row"):
        absent = ("ms", "plain_ms", "ratio", "fraction_of_matmul", "peak_memory_mb")
        row: Row = {"name": name, **dict.fromkeys(absent)}
        if name in NAMES:
            row |= time_pair(name, config, max(rates.values()))
        else:
            row |= MEASURES[name](name, device)
        row["peak_memory_mb"] = row["peak_memory_mb"] or peak_memory_mb()
        table.add(row)
        print(describe(row), flush=True)
    image = output.with_suffix(".png")
    write_atomically(image, png(timing_figure([row for row in table.rows if row["ratio"]])))
    print("\n".join(timing_table({**head, "rows": table.rows})))
    print(f"files: {output}  {image}")


#: What a pair times, beside its name in the picture.
WORK = {
    "W1": "training, DFO",
    "W2": "action, DFO",
    "W3": "training, Langevin",
    "W4": "action, Langevin",
}


def timing_figure(rows: Sequence[Row]) -> Figure:
    """Milliseconds of each workload, plain and here, joined by a line with their ratio."""
    figure, ((axes,),) = style.panels(1, 1, (7, 0.9 + 0.45 * len(rows)))
    y = np.arange(len(rows))
    plain, here = ([row[key] for row in rows] for key in ("plain_ms", "ms"))
    axes.hlines(y, here, plain, color=style.GRAY, linewidth=1)
    axes.plot(plain, y, "s", color=style.VERMILION, label="plain implementation, float32")
    axes.plot(here, y, "o", color=style.BLUE, label="this project")
    for i, row in enumerate(rows):
        middle = (row["ms"] * row["plain_ms"]) ** 0.5
        axes.text(middle, i - 0.12, f"{row['ratio']:.1f} x", ha="center", va="bottom", fontsize=8)
    names = [f"{row['name']}: {WORK[row['name'][:2]]}" for row in rows]
    axes.set(yticks=y, yticklabels=names, xlabel="time (ms)", xscale="log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_ylim(len(rows) - 0.5, -0.8)
    style.legend(axes, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    return figure


if __name__ == "__main__":
    main(benchmark, "benchmark")
