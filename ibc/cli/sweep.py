"""Sweeps: a folder for each run by the values that are swept, finished runs skipped, a table at the end."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ibc.checkpoint import load_checkpoint
from ibc.cli.config import Config, Runs
from ibc.cli.continuing import differences
from ibc.errors import UserError
from ibc.files import read_json
from ibc.training.run_folder import CHECKPOINT, EVALUATION

#: Longest name of a folder.
MAX_NAME = 120


@dataclass
class Sweep(Runs):
    """The runs of one command, in one process after another or in several at once.

    Args:
        job: takes the configuration of one run.
        record: file to which every run adds a line, in whatever process it was taken.
    """

    job: Callable[[Config], None]
    record: Path = field(default_factory=lambda: Path.cwd() / f"runs/.sweep_{uuid.uuid4().hex}")

    def run(self, config: Config, swept: Sequence[str]) -> None:
        """Take one run: from nothing, from where it was interrupted, or not at all.

        Args:
            config: of the run.
            swept: the overrides by which it differs from the others.

        Raises:
            UserError: as the job, or its folder holds a run of other settings.
        """
        folder = folder_of(config["run_dir"], swept)
        path = folder.expanduser()
        config = {**config, "run_dir": str(folder)}
        begun = (path / CHECKPOINT).exists()
        if begun and (path / EVALUATION).exists():
            saved = load_checkpoint(path / CHECKPOINT).config
            steps = [c["trainer"]["num_steps"] for c in (saved, config)]
            if changed := differences(saved, config):
                raise UserError(f"{folder} holds a run of other settings: {'; '.join(changed)}")
            judged = [
                (
                    c["env"],
                    c.get("num_execute_steps"),
                    {"exact": False, **c["evaluation"], "processes": 1},
                )
                for c in (saved, config)
            ]
            begun = steps[0] < steps[1] or judged[0] != judged[1]
            if not begun:
                print(f"{folder} is finished: skipped")
        if begun or not (path / EVALUATION).exists():
            self.job({**config, "resume": begun or config["resume"]})
        self.record.parent.mkdir(parents=True, exist_ok=True)
        with self.record.open("a") as file:
            file.write(json.dumps([" ".join(swept), str(path)]) + "\n")

    def summary(self) -> str:
        """A line for each run that is finished: what was swept, and what came out; in the order of the values."""
        if not self.record.exists():
            return ""
        rows = [json.loads(line) for line in self.record.read_text().splitlines()]
        self.record.unlink()
        lines = []
        for swept, path in sorted(rows, key=_by_numbers):
            figures = read_json(Path(path) / EVALUATION)
            cells = [f"{swept:{max(len(row) for row, _ in rows)}}"]
            if "success_rate" in figures:
                cells += [f"success {figures['success_rate']:6.1%}"]
                cells += [f"return {figures['return_mean']:9.3f}"]
            for name, value in figures.get("held_out", {}).items():
                cells += [f"held-out {name} {value:.4g}"] if isinstance(value, float) else []
            lines.append("  ".join([*cells, path]))
        return "\n".join(lines)


def _by_numbers(row: Sequence[str]) -> list[tuple[int, str]]:
    """Sorts seed=2 before seed=10."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", row[0])]


def folder_of(run_dir: str, swept: Sequence[str]) -> Path:
    """A folder for a run by its swept values, but for those that the folder's name has already."""
    path = Path(run_dir)
    missing = []
    for override in swept:
        key, _, value = override.partition("=")
        if not {value, f"{key.rpartition('.')[2]}_{value}"} & set(path.parts):
            missing.append(override)
    if not missing:
        return path
    whole = ",".join(missing)
    name = re.sub(r"[^\w.=,+-]", "_", whole)
    if name != whole or len(name) > MAX_NAME:  # what was replaced still tells runs apart
        digest = hashlib.sha256(whole.encode()).hexdigest()[:8]
        name = f"{name[:MAX_NAME]}-{digest}"
    return path / name
