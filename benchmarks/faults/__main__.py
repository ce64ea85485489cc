"""Run the campaign, print what was tried and what survived, and write it down.

python -m benchmarks.faults results/faults.json [PART ...]
"""

import multiprocessing
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from benchmarks.faults.attempt import Outcome, attempt
from benchmarks.faults.checkpoints import hostile_checkpoints
from benchmarks.faults.data import hostile_data
from benchmarks.faults.kills import kills
from benchmarks.faults.long import OTHERS, TABLETOP, decisions_and_pictures, steps
from benchmarks.faults.races import races
from benchmarks.faults.text import damaged_texts
from benchmarks.results import ResultTable, Row
from benchmarks.tables.faults import faults_table
from ibc.device import provenance
from ibc.errors import UserError

#: A run of a few seconds.
TRAIN = [
    "experiment=particle_2d", "network.width=16", "network.num_blocks=1", "encoder.num_gates=4", "data.num_episodes=10",
    "trainer.num_steps=40", "trainer.batch_size=32", "trainer.warmup_steps=5", "evaluation.num_episodes=2",
    "evaluation.num_envs=2", "+env.max_episode_steps=5",
    "+env.demo_overrides.max_episode_steps=50", "video=false",
]  # fmt: skip
#: Parts that run at once.
PROCESSES = 2
PARTS: dict[str, Callable[[Path, list[str], Path], Iterator[tuple[str, Outcome]]]] = {
    "kills": lambda made, train, folder: kills(train, folder),
    "hostile checkpoints": hostile_checkpoints,
    "hostile data": lambda made, train, folder: hostile_data(folder),
    "damaged text": lambda made, train, folder: damaged_texts(made, folder),
    "steps of tabletop tasks": lambda made, train, folder: steps(TABLETOP),
    "races": lambda made, train, folder: races(train, folder),
    "steps of other tasks": lambda made, train, folder: steps(OTHERS),
    "decisions and pictures": lambda made, train, folder: decisions_and_pictures(),
}


def main(output: str, *only: str) -> None:
    """Run the parts that are asked for, or all."""
    unknown = sorted(set(only) - set(PARTS))
    if unknown:
        raise UserError(f"no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    about = provenance()
    names = list(PARTS)
    table = ResultTable(
        path=Path(output),
        key=["part"],
        order=lambda key: names.index(str(key[0])),
        head=lambda rows: {"command": "make faults", "about": about},
    )
    with tempfile.TemporaryDirectory() as temporary:
        made, train = prepare(Path(temporary))
        with ProcessPoolExecutor(PROCESSES, multiprocessing.get_context("fork")) as pool:
            jobs = [
                pool.submit(run_in, name, made, train, Path(temporary)) for name in only or names
            ]
            for job in as_completed(jobs):
                table.add(job.result())
    print("\n".join(faults_table({"rows": table.rows, "command": "make faults"})))
    print(f"file: {output}")
    sys.exit(any(row["failed"] for row in table.rows))


def prepare(folder: Path) -> tuple[Path, list[str]]:
    """A run folder with everything in it, and the overrides that made it."""
    train = [*TRAIN, f"data.path={folder}/demos"]
    outcome = attempt(["train", *train, f"run_dir={folder}/made"], folder, limit=300)
    if outcome.kind != "done":
        raise UserError(f"the good run failed: {outcome.line}")
    return folder / "made", train


def run_in(name: str, made: Path, train: list[str], root: Path) -> Row:
    """One part, in a folder of its own."""
    folder = root / name.replace(" ", "_")
    folder.mkdir()
    return run_part(name, PARTS[name](made, train, folder))


def run_part(name: str, outcomes: Iterator[tuple[str, Outcome]]) -> Row:
    """Count what becomes of the attempts of one part; print each one that does not end as it should."""
    kinds: Counter[str] = Counter()
    failed, slowest, start = [], 0.0, time.monotonic()
    counted: dict[str, int] = {}
    for case, outcome in outcomes:
        kinds[outcome.kind] += 1
        slowest = max(slowest, outcome.seconds)
        if outcome.kind == "done" and outcome.line.isdigit():
            counted[case] = int(outcome.line)
        if not outcome.survived:
            failed.append({"case": case, "kind": outcome.kind, "line": outcome.line})
            print(f"{name}, {case}: {outcome.kind}: {outcome.line[:300]}", flush=True)
    tried = sum(kinds.values())
    return {
        "part": name,
        "tried": tried,
        "survived": tried - len(failed),
        "kinds": dict(kinds),
        "slowest_seconds": slowest,
        "seconds": time.monotonic() - start,
        "failed": failed,
        "counted": counted,
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
