"""Draw again the figures whose numbers are in results/: python -m benchmarks.pages.figures."""

from pathlib import Path

from benchmarks.composition.particles import iterations_figure
from benchmarks.results import Row, read_result
from benchmarks.timing.benchmark import timing_figure
from benchmarks.toys.coordinates import coordinate_figure
from ibc.evaluation.plots import png
from ibc.files import write_atomically


def rows_of(name: str) -> list[Row]:
    """The rows of results/NAME.json."""
    rows: list[Row] = read_result(Path("results") / f"{name}.json")["rows"]
    return rows


def main() -> None:
    """Write every one of them."""
    (iterations,) = (row for row in rows_of("compose") if row["case"] == "particle_16d")
    figures = {
        "results/benchmark.png": timing_figure([r for r in rows_of("benchmark") if r["ratio"]]),
        "docs/coordinate_regression.png": coordinate_figure(rows_of("coordinate_regression")),
        "docs/pictures/compose_iterations.png": iterations_figure(iterations["variants"]),
    }
    for path, figure in figures.items():
        write_atomically(Path(path), png(figure))
        print(path)


if __name__ == "__main__":
    main()
