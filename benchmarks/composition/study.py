"""The command that measures compositions case by case, and draws them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.composition.answers import doubt, habits
from benchmarks.composition.closed_loop import Settings
from benchmarks.composition.committee import committee
from benchmarks.composition.corridor import corridor
from benchmarks.composition.latency import latency
from benchmarks.composition.obstacles import particle_2d, particle_8d
from benchmarks.composition.pushing import block_push
from benchmarks.composition.steps import particle_16d
from benchmarks.composition.walls import maze
from ibc.cli.config import Config, at_least
from ibc.cli.evaluate import write_json
from ibc.device import configure_device, provenance
from ibc.errors import UserError

#: In the order of the table.
CASES: tuple[Callable[[Settings], list[dict[str, Any]]], ...] = (
    particle_2d,
    particle_8d,
    block_push,
    corridor,
    habits,
    particle_16d,
    maze,
    committee,
    latency,
    doubt,
)


def compose_study(config: Config) -> None:
    """The command: the cases asked for, or all that the result file does not have yet.

    Raises:
        UserError: there is no such case.
    """
    at_least(config, num_episodes=1, first_seed=0)
    device = configure_device(config["device"], config["precision"])
    names = [case.__name__ for case in CASES]
    unknown = sorted(set(config["cases"] or ()) - set(names))
    if unknown:
        raise UserError(f"cases={', '.join(unknown)}; allowed: {', '.join(names)}")
    output = Path(config["output"])
    settings = Settings(
        seeds=range(config["first_seed"], config["first_seed"] + config["num_episodes"]),
        pretrained=Path(config["pretrained"]),
        pictures=Path(config["pictures"]),
        device=device,
    )
    about = provenance()  # of the code that runs: what is written here changes the tree
    done = json.loads(output.read_text())["cases"] if output.exists() else {}
    for case in CASES:
        name = case.__name__
        if name not in (config["cases"] or names) or (config["cases"] is None and name in done):
            continue
        start = time.perf_counter()
        rows = case(settings)
        done[name] = {
            "rows": rows,
            "first_seed": config["first_seed"],
            "command": f"python scripts/compose_study.py 'cases=[{name}]'",
            "seconds": time.perf_counter() - start,
            "about": about,
        }
        ordered = {key: done[key] for key in names if key in done}
        write_json(output, {"command": "python scripts/compose_study.py", "cases": ordered})
        for row in rows:
            print(f"{name}: {json.dumps(row)}")
    print(f"file: {output}")
