"""Damaged text: evaluations, metrics, tables of results and configurations, read by the commands that read them."""

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

from benchmarks.faults.attempt import Outcome, attempt

#: What is put in place of a whole file.
ODD = (
    b"",
    b"{",
    b"[]",
    b"null",
    b"{}",
    b"\xff\xfe\x00",
    b'{"episodes": 5}',
    b"[" * 100_000,
    b"a: [b",
)
COUNT = 100


def damaged_texts(made: Path, folder: Path) -> Iterator[tuple[str, Outcome]]:
    """Compare damaged evaluations, continue a run with damaged metrics, use a damaged configuration."""
    rng = random.Random(0)
    evaluation = folder / "evaluation.json"
    for name, content in _damaged((made / "evaluation.json").read_bytes(), rng):
        evaluation.write_bytes(content)
        yield (
            f"evaluation, {name}",
            attempt(["compare", str(evaluation), str(made / "evaluation.json")], folder),
        )
    run = folder / "run"
    for name, content in _damaged((made / "metrics.jsonl").read_bytes(), rng):
        shutil.copytree(made, run, dirs_exist_ok=True)
        (run / "metrics.jsonl").write_bytes(content)
        yield (
            f"metrics, {name}",
            attempt(
                ["evaluate", f"checkpoint={run}/checkpoint.pt", "num_episodes=1", "output=x.json"],
                folder,
            ),
        )
    own = folder / "own"
    (own / "policy").mkdir(parents=True, exist_ok=True)
    text = b"# @package _global_\ndefaults:\n  - mse\n  - _self_\npolicy:\n  width: 8\n"
    for name, content in _damaged(text, rng):
        (own / "policy/mine.yaml").write_bytes(content)
        yield f"configuration, {name}", attempt(
            ["train", f"hydra.searchpath=[file://{own}]", "policy=mine", "data.path=none", "run_dir=r"], folder
        )  # fmt: skip


def _damaged(content: bytes, rng: random.Random) -> Iterator[tuple[str, bytes]]:
    for odd in ODD:
        yield f"replaced by {odd[:20]!r}", odd
    for number in range(COUNT):
        data = bytearray(content)
        for _ in range(rng.choice([1, 3, 20])):
            data[rng.randrange(len(data))] = rng.randrange(256)
        cut = rng.randrange(len(data)) if rng.random() < 0.3 else len(data)
        yield f"damage {number}", bytes(data[:cut])
