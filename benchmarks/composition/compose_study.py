"""The command that measures compositions case by case, and draws them."""

import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.composition.committee import committee
from benchmarks.composition.densities import habits, ood_score
from benchmarks.composition.episodes import Settings
from benchmarks.composition.guided import block_push, maze
from benchmarks.composition.particles import (
    corridor,
    latency,
    particle_2d,
    particle_8d,
    particle_16d,
)
from benchmarks.composition.verified import verified
from benchmarks.config import main, select
from benchmarks.results import ResultTable, Row
from benchmarks.tables.composition import composition_table
from ibc.cli.config import Config, at_least
from ibc.device import configure_device, provenance

#: In the order of the table.
CASES: dict[str, Callable[[Settings], list[Row]]] = {
    "particle_2d": particle_2d,
    "particle_8d": particle_8d,
    "block_push": block_push,
    "corridor": corridor,
    "habits": habits,
    "particle_16d": particle_16d,
    "maze": maze,
    "committee": committee,
    "latency": latency,
    "ood_score": ood_score,
    "verified": verified,
}


def compose_study(config: Config) -> None:
    """The command: the cases asked for by name, or all that the result file does not have yet."""
    at_least(config, num_episodes=1, first_seed=0)
    device = configure_device(config["device"], config["precision"])
    settings = Settings(
        seeds=range(config["first_seed"], config["first_seed"] + config["num_episodes"]),
        pretrained=Path(config["pretrained"]),
        images=Path(config["images"]),
        device=device,
    )
    about = provenance()  # before results change the working tree
    head = {"command": "python scripts/compose_study.py"}
    table = ResultTable(
        path=Path(config["output"]),
        key=["case"],
        order=lambda key: list(CASES).index(key[0]),  # type: ignore[arg-type]
        head=lambda rows: head,
        accept=lambda result, row: row["case"] in CASES,
    )

    def measure(name: str) -> Row:
        start = time.perf_counter()
        return {
            "variants": CASES[name](settings),
            "first_seed": config["first_seed"],
            "command": f"python scripts/compose_study.py 'cases=[{name}]' num_episodes={len(settings.seeds)}",
            "seconds": time.perf_counter() - start,
            "about": about,
        }

    for name in select(CASES, config["cases"], "cases"):
        if config["cases"] is None:
            table.fill({"case": name}, lambda name=name: measure(name))  # type: ignore[misc]
        else:
            table.add({"case": name, **measure(name)})
    print("\n".join(composition_table({**head, "rows": table.rows})))
    print(f"file: {config['output']}")


if __name__ == "__main__":
    main(compose_study, "compose_study")
