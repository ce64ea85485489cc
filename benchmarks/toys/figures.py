"""The figures command: toys of the paper, their results and images."""

from collections.abc import Callable
from pathlib import Path

from matplotlib.figure import Figure

from benchmarks.config import main, select
from benchmarks.results import Row
from benchmarks.tables.toys import toy_table
from benchmarks.toys.coordinates import coordinate_figure, coordinate_regression
from benchmarks.toys.function_fits import function_fits
from ibc.cli.config import Config, at_least
from ibc.device import configure_device, provenance
from ibc.evaluation.evaluate import write_json
from ibc.evaluation.plots import png
from ibc.files import write_atomically


def coordinates(config: Config, steps: int) -> tuple[list[Row], Figure]:
    """Coordinate regression, and its errors as maps."""
    rows = coordinate_regression(config["counts"], steps, config["seed"])
    return rows, coordinate_figure(rows)


TOYS: dict[str, Callable[[Config, int], tuple[list[Row], Figure]]] = {
    "coordinate_regression": coordinates,
    "function_fits": lambda config, steps: function_fits(steps, config["seed"]),
}


def figures(config: Config) -> None:
    """The command: train, then write one result file and one image for each toy."""
    configure_device("cpu", "float32")
    at_least(config, seed=0)
    at_least(config["steps"], **dict.fromkeys(TOYS, 1))
    for name, toy in select(TOYS, config["only"], "only").items():
        steps = config["steps"][name]
        rows, figure = toy(config, steps)
        command = f"python scripts/figures.py 'only=[{name}]' steps.{name}={steps}"
        result = {"command": command, "rows": rows, "about": provenance()}
        image, output = (Path(config[key]) / name for key in ("images", "results"))
        write_json(output.with_suffix(".json"), result)
        write_atomically(image.with_suffix(".png"), png(figure))
        print("\n".join(toy_table(result)))
        print(f"files: {output}.json  {image}.png")


if __name__ == "__main__":
    main(figures, "figures")
