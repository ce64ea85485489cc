"""Metrics of a run: a file of its folder, and Weights & Biases."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from ibc.errors import UserError
from ibc.files import read_json_lines, write_atomically


class Logger(ABC):
    """Takes metrics by gradient step."""

    @abstractmethod
    def log(self, step: int, metrics: dict[str, float]) -> None:
        """Record the metrics of one step."""

    @abstractmethod
    def film(self, step: int, path: Path) -> None:
        """Show a film (MP4) of the policy, where there is a place for it."""

    @abstractmethod
    def close(self) -> None:
        """Finish; nothing more is logged."""


class JsonlLogger(Logger):
    """One JSON object a line in ``metrics.jsonl``: the record of a run."""

    def __init__(self, run_dir: Path, resume_step: int) -> None:
        """Rows at or beyond ``resume_step`` are dropped: the continued run writes them again."""
        self.path = run_dir / "metrics.jsonl"
        kept = [row for row in read_metrics(run_dir) if row["step"] < resume_step]
        write_atomically(self.path, "".join(json.dumps(row) + "\n" for row in kept).encode())
        self._file = self.path.open("a", encoding="utf-8")

    def log(self, step: int, metrics: dict[str, float]) -> None:
        """See :class:`Logger`."""
        try:
            self._file.write(json.dumps({"step": step, **metrics}) + "\n")
            self._file.flush()
        except OSError as error:
            raise UserError(f"cannot write {self.path}: {error.strerror}") from error

    def film(self, step: int, path: Path) -> None:
        """See :class:`Logger`; it lies in the same folder."""

    def close(self) -> None:
        """See :class:`Logger`."""
        self._file.close()


class WandbLogger(Logger):
    """Weights & Biases; offline by default, so that nobody is asked for an account."""

    def __init__(self, run_dir: Path, config: dict[str, Any], *, project: str, mode: str) -> None:
        try:
            import wandb
        except ImportError as error:
            raise UserError("logger=wandb needs the extra: pip install -e '.[wandb]'") from error
        allowed = ("offline", "online", "disabled")
        if mode not in allowed:
            raise UserError(f"wandb.mode={mode}; allowed: {', '.join(allowed)}")
        name = run_dir / "wandb_run.txt"  # of this run there, where a continued one goes on
        known = name.read_text(encoding="utf-8").strip() if name.is_file() else None
        self._video = wandb.Video
        self._run = wandb.init(
            project=project,
            id=known,
            resume=None if known is None else "allow",
            dir=run_dir,
            config=config,
            mode=mode,  # type: ignore[arg-type]
            name="/".join(run_dir.parts[-3:]),
            settings=wandb.Settings(console="off", silent=True),
        )
        if known is None:
            write_atomically(name, f"{self._run.id}\n".encode())

    def log(self, step: int, metrics: dict[str, float]) -> None:
        """See :class:`Logger`."""
        self._run.log(metrics, step=step)

    def film(self, step: int, path: Path) -> None:
        """See :class:`Logger`."""
        self._run.log({"film": self._video(str(path), format="mp4")}, step=step)

    def close(self) -> None:
        """See :class:`Logger`."""
        self._run.finish()


def read_metrics(run_dir: Path) -> list[dict[str, float]]:
    """The rows of ``metrics.jsonl``; a last line cut short by a crash is left out.

    Raises:
        UserError: the file holds something else, naming the line.
    """
    path = run_dir / "metrics.jsonl"
    rows = read_json_lines(path) if path.is_file() else []
    for number, row in enumerate(rows, 1):
        if not isinstance(row.get("step"), int):
            raise UserError(f"{path}, line {number}: no step")
    return rows
