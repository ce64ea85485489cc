"""Commands that are killed while they write: what is resumed is what an undisturbed run gives."""

import random
import shutil
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from benchmarks.faults.attempt import Attempt, Outcome, attempt
from ibc.data import read_episodes

COUNT = 30
#: Options of training that remember something from step to step.
REMEMBERING = {
    "plain": [],
    "average of weights": ["trainer.ema_decay=0.9"],
    "replayed negatives": ["loss=info_nce", "negatives=replayed", "sampler=ibc_langevin"],
    "accumulated gradients": ["trainer.accumulate=2", "data.holdout=0.2", "validation.every=10"],
}
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


def kills(train: Sequence[str], folder: Path) -> Iterator[tuple[str, Outcome]]:
    """Training with everything that remembers, collecting, evaluating."""
    for name, options in REMEMBERING.items():
        yield from _training(name, [*train, *options], folder)
    yield from _collecting(folder)
    yield from _evaluating(train, folder)


def _training(name: str, train: Sequence[str], folder: Path) -> Iterator[tuple[str, Outcome]]:
    whole = folder / "whole"
    shutil.rmtree(whole, ignore_errors=True)
    calm = attempt(["train", *train, f"run_dir={whole}"], folder, limit=120)
    yield f"train, {name}, undisturbed", calm
    if calm.kind != "done":
        return
    expected = torch.load(whole / "checkpoint.pt", weights_only=True)["weights"]
    rng = random.Random(name)
    for number in range(COUNT):
        run = folder / "run"
        shutil.rmtree(run, ignore_errors=True)
        command = ["train", *train, "resume=true", f"run_dir={run}"]
        for _ in range(rng.choice([1, 2])):
            _kill_within(command, folder, calm.seconds, rng)
        outcome = attempt(command, folder, limit=120)
        if outcome.kind == "done":
            found = torch.load(run / "checkpoint.pt", weights_only=True)["weights"]
            if not all(torch.equal(value, found[key]) for key, value in expected.items()):
                outcome = Outcome(
                    "lost", "weights differ from the undisturbed run", outcome.seconds
                )
        yield f"train, {name}, {number}", outcome


def _collecting(folder: Path) -> Iterator[tuple[str, Outcome]]:
    demos = folder / "demos"
    command = ["collect", "env=particle", f"data.path={demos}", "num_episodes=12"]
    calm = attempt(command, folder)
    yield "collect, undisturbed", calm
    expected = [episode.action.tobytes() for episode in read_episodes(demos)]
    rng = random.Random(0)
    for number in range(COUNT):
        shutil.rmtree(demos, ignore_errors=True)
        _kill_within(command, folder, calm.seconds, rng)
        outcome = attempt(command, folder) if not demos.exists() else Outcome("done", "", 0.0)
        if outcome.kind == "done":
            found = [episode.action.tobytes() for episode in read_episodes(demos)]
            if found != expected:
                outcome = Outcome("lost", "other demonstrations than undisturbed", outcome.seconds)
        yield f"collect, {number}", outcome


def _evaluating(train: Sequence[str], folder: Path) -> Iterator[tuple[str, Outcome]]:
    run = folder / "run"
    shutil.rmtree(run, ignore_errors=True)
    yield "evaluate, its run", attempt(["train", *train, f"run_dir={run}"], folder, limit=120)
    output = folder / "evaluation.json"
    command = ["evaluate", f"checkpoint={run}/checkpoint.pt", "num_episodes=4", f"output={output}"]
    calm = attempt(command, folder)
    yield "evaluate, undisturbed", calm
    rng = random.Random(1)
    before = output.read_bytes()
    for number in range(COUNT):
        output.write_bytes(before)
        _kill_within(command, folder, calm.seconds, rng)
        content = output.read_bytes() if output.exists() else b""
        whole = content.startswith(b"{") and content.rstrip().endswith(b"}")
        yield f"evaluate, {number}", Outcome("done" if whole else "lost", "torn result", 0.0)


def _kill_within(command: Sequence[str], folder: Path, seconds: float, rng: random.Random) -> None:
    running = Attempt(command, folder)
    time.sleep(rng.uniform(0, seconds))
    running.kill(rng.choice(SIGNALS))
    running.wait()
