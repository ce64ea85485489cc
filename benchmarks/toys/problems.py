"""The figures command: small problems, their results and pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.toys.coordinates import coordinate_figure, coordinate_regression
from benchmarks.toys.function_fits import function_fits
from ibc.cli.config import Config, at_least
from ibc.cli.evaluate import write_json
from ibc.device import configure_device, provenance
from ibc.errors import UserError
from ibc.evaluation.plots import png
from ibc.files import write_atomically

PROBLEMS = ("function_fits", "coordinate_regression")


def small_problems(config: Config) -> None:
    """The command.

    Raises:
        UserError: a problem that does not exist.
    """
    configure_device("cpu", "float32")
    at_least(config, seed=0)
    at_least(config["steps"], **dict.fromkeys(PROBLEMS, 1))
    for name in config["only"]:
        steps, seed = config["steps"].get(name, 0), config["seed"]
        if name == "function_fits":
            rows, figure = function_fits(steps, seed)
        elif name == "coordinate_regression":
            rows = coordinate_regression(config["counts"], steps, seed)
            figure = coordinate_figure(rows)
        else:
            raise UserError(f"only has {name}; allowed: {', '.join(PROBLEMS)}")
        result: dict[str, Any] = {
            "command": f"python scripts/figures.py 'only=[{name}]' steps.{name}={steps}",
            "rows": rows,
            "about": provenance(),
        }
        picture = Path(config["docs"]) / f"{name}.png"
        write_json(Path(config["results"]) / f"{name}.json", result)
        write_atomically(picture, png(figure))
        print(f"files: {config['results']}/{name}.json  {picture}")
