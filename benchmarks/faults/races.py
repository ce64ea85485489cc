"""Several commands at once in one folder."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.faults.attempt import Attempt, Outcome
from ibc.data import read_episodes

TIMES = 20


def races(train: Sequence[str], folder: Path) -> Iterator[tuple[str, Outcome]]:
    """Eight processes from an empty folder, most of which want the same demonstrations.

    Four train, two collect; an evaluation and an inspection look for what may not be there yet.
    """
    for number in range(TIMES):
        place = folder / "race"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        demos = place / "demos"
        own = [option for option in train if not option.startswith("data.path")]
        commands = [
            *(
                ["train", *own, f"data.path={demos}", f"seed={seed}", f"run_dir={place}/run_{seed}"]
                for seed in range(4)
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
