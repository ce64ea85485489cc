"""Several commands at once in one folder."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.faults.attempt import Attempt, Outcome
from benchmarks.results import read_result
from ibc.data import read_episodes

TIMES = 20


def races(train: Sequence[str], folder: Path) -> Iterator[tuple[str, Outcome]]:
    """Eight processes from an empty folder, most of which want the same demonstrations.

    Two train, two are studies with one result file, two collect; an evaluation and an inspection look for what may not
    be there yet.
    """
    for number in range(TIMES):
        place = folder / "race"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        demos = place / "demos"
        own = [option for option in train if not option.startswith("data.path")]
        options = ",".join(f'"{option}"' for option in [*own[1:], f"data.path={demos}"])
        commands = [
            *(
                ["train", *own, f"data.path={demos}", f"seed={seed}", f"run_dir={place}/run_{seed}"]
                for seed in range(2)
            ),
            *(
                [
                    "study",
                    "name=particle_2d",
                    f"policies=[{policy}]",
                    "seeds=[0]",
                    f"overrides=[{options}]",
                    f"output={place}/study.json",
                    "pretrained=null",
                ]
                for policy in ("implicit", "mse")
            ),
            *[["collect", "env=particle", f"data.path={demos}", "num_episodes=10"]] * 2,
            ["inspect", str(demos)],
            ["evaluate", f"checkpoint={place}/run_0/checkpoint.pt", f"output={place}/x.json"],
        ]
        running = []
        for index, command in enumerate(commands):
            (place / f"process_{index}").mkdir()
            running.append(Attempt(command, place / f"process_{index}"))
        outcomes = [one.wait(180) for one in running]
        for index, outcome in enumerate(outcomes):
            must = index < 4  # the others may come too early or too late, and say so
            kind = "lost" if must and outcome.kind != "done" else outcome.kind
            yield f"{number}, {commands[index][0]}", Outcome(kind, outcome.line, outcome.seconds)
        complete = len(list(read_episodes(demos))) == 10
        yield f"{number}, demonstrations", Outcome("done" if complete else "lost", "", 0.0)
        rows = {row["policy"] for row in read_result(place / "study.json")["rows"]}
        whole = rows == {"implicit", "mse"}
        yield f"{number}, rows of the studies", Outcome("done" if whole else "lost", str(rows), 0.0)
