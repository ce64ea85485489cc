"""Commands that are killed while they work: what is resumed is what an undisturbed run gives."""

import hashlib
import random
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.faults.attempt import Attempt, Outcome, attempt
from benchmarks.results import read_result
from ibc.data import read_episodes
from ibc.files import read_json_object
from ibc_client import Client, ServerError

COUNT = 100
#: Options of training that remember something from step to step; they share ``COUNT``.
REMEMBERING = {
    "plain": [],
    "average of weights": ["trainer.ema_decay=0.9"],
    "replayed negatives": ["loss=info_nce", "negatives=replayed", "sampler=ibc_langevin"],
    "accumulated gradients and measures": ["trainer.accumulate=2", "data.holdout=0.2", "validation.every=10"],
}  # fmt: skip
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True)
class Victim:
    """A command that is killed and begun again.

    Attributes:
        arguments: that continue what was interrupted.
        made: what it leaves, for a comparison.
        place: file or folder that it writes; removed before each trial.
        keeps: the place is not removed, and holds a whole result at any time, of this trial or an earlier one.
        once: a result that is whole is not written again, so a second call would be refused.
    """

    name: str
    arguments: list[str]
    made: Callable[[], object]
    place: Path
    keeps: bool = False
    once: bool = False


def kills(train: Sequence[str], folder: Path) -> Iterator[tuple[str, Outcome]]:
    """Train with everything that remembers, study, collect, evaluate, convert, export and serve."""
    run = folder / "trained"
    yield "a run", attempt(["train", *train, f"run_dir={run}"], folder, limit=120)
    for victim in _victims(train, run / "checkpoint.pt", folder):
        is_one_of_four = victim.name.startswith(("train", "export"))
        yield from _trials(victim, folder, COUNT // 4 if is_one_of_four else COUNT)
    yield from _serving(run / "checkpoint.pt", folder)


def _victims(train: Sequence[str], checkpoint: Path, folder: Path) -> Iterator[Victim]:
    run, demos, output = folder / "run", folder / "demos", folder / "output"
    for name, options in REMEMBERING.items():
        yield Victim(
            f"train, {name}",
            ["train", *train, *options, "resume=true", f"run_dir={run}"],
            lambda: _weights(run / "checkpoint.pt"),
            run,
        )
    study, runs = ",".join(f'"{option}"' for option in train[1:]), folder / "runs"
    yield Victim(
        "study",
        ["study", "name=particle_2d", "policies=[implicit,mse]", "seeds=[0]", f"overrides=[{study}]",
         "output=runs/study.json", "pretrained=null"],
        lambda: (
            _study(runs / "study.json"), *map(_weights, sorted(runs.glob("*/*/*/checkpoint.pt")))
        ),
        runs,
    )  # fmt: skip
    yield Victim(
        "collect",
        ["collect", "env=particle", f"data.path={demos}", "num_episodes=12"],
        lambda: _actions(demos),
        demos,
        once=True,
    )
    attempt(["collect", "env=particle", f"data.path={demos}", "num_episodes=12"], folder)
    yield Victim(
        "convert", ["convert", str(demos), str(output)], lambda: _actions(output), output, once=True
    )
    yield Victim(
        "export",
        ["export", f"checkpoint={checkpoint}", f"output={output}"],
        lambda: {file.name: _digest(file) for file in output.iterdir() if file.suffix == ".onnx"},
        output,
        once=True,
    )
    result = folder / "evaluation.json"
    yield Victim(
        "evaluate",
        ["evaluate", f"checkpoint={checkpoint}", "num_episodes=4", f"output={result}"],
        lambda: read_json_object(result)["episodes"],
        result,
        keeps=True,
    )


def _trials(victim: Victim, folder: Path, count: int) -> Iterator[tuple[str, Outcome]]:
    _remove(victim.place)
    calm = attempt(victim.arguments, folder, limit=120)
    yield f"{victim.name}, undisturbed", calm
    if calm.kind != "done":
        return
    expected = victim.made()
    rng = random.Random(victim.name)
    for number in range(count):
        if not victim.keeps:
            _remove(victim.place)
        for _ in range(rng.choice([1, 2])):
            _kill_within(victim.arguments, folder, calm.seconds, rng)
        outcome = Outcome("done", "", 0.0)
        if not victim.keeps and not (victim.once and victim.place.exists()):
            outcome = attempt(victim.arguments, folder, limit=120)
        if outcome.kind == "done":
            try:
                same = victim.made() == expected
            except Exception as error:
                same, outcome = False, Outcome("lost", repr(error), outcome.seconds)
            if not same and outcome.kind == "done":
                outcome = Outcome("lost", "other than undisturbed", outcome.seconds)
        yield f"{victim.name}, {number}", outcome


def _serving(checkpoint: Path, folder: Path) -> Iterator[tuple[str, Outcome]]:
    """A server that is killed while a client asks; the next one gives the first answers again."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["serve", f"checkpoint={checkpoint}", f"port={port}"]
    rng = random.Random(0)
    obs = {name: np.zeros(2, np.float32) for name in PARTICLE}
    answers: list[bytes] = []
    server = Attempt(command, folder)
    client = Client(f"ws://127.0.0.1:{port}", safe_action=np.zeros(2), timeout=2.0)
    for number in range(COUNT // 4):
        start = time.monotonic()
        decision = None
        while time.monotonic() - start < 20 and (decision is None or decision.is_safe_action):
            try:
                client.reset(seed=3)
                decision = client.step(obs)
            except ServerError:
                time.sleep(0.1)
        seconds = time.monotonic() - start
        if decision is None or decision.is_safe_action:
            yield f"serve, {number}", Outcome("lost", "no answer after a restart", seconds)
        else:
            answers.append(decision.action.tobytes())
            kind = "done" if answers[-1] == answers[0] else "lost"
            yield f"serve, {number}", Outcome(kind, "another action than before", seconds)
        server.kill(rng.choice(SIGNALS))
        during = client.step(obs)  # the server dies, or has died: an answer or the safe action
        if not np.isfinite(during.action).all():
            yield f"serve, {number}, while dying", Outcome("lost", str(during.action), 0.0)
        server.wait()
        server = Attempt(command, folder)
    server.kill()
    server.wait()
    client.close()


def _weights(path: Path) -> dict[str, bytes]:
    weights = torch.load(path, weights_only=True)["weights"]
    return {name: value.numpy().tobytes() for name, value in weights.items()}


def _study(path: Path) -> list[object]:
    names = ("policy", "success_rate_by_seed", "return_mean_by_seed")
    return [[row[name] for name in names] for row in read_result(path)["rows"]]


def _actions(path: Path) -> list[bytes]:
    return [episode.action.tobytes() for episode in read_episodes(path)]


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _kill_within(command: Sequence[str], folder: Path, seconds: float, rng: random.Random) -> None:
    running = Attempt(command, folder)
    time.sleep(rng.uniform(0, seconds))
    running.kill(rng.choice(SIGNALS))
    running.wait()


#: Observations of the particle task in two dimensions.
PARTICLE = ("pos_agent", "vel_agent", "pos_first_goal", "pos_second_goal")
