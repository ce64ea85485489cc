"""What a run tells: progress on the terminal, metrics in a file, and Weights & Biases for those who use it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

from tqdm import tqdm

from ibc.errors import UserError
from ibc.files import write_atomically

T = TypeVar("T")

#: Seconds between lines of progress when the output is not a terminal.
QUIET_INTERVAL = 15.0


class Progress:
    """A bar with rate and remaining time on a terminal, and now and then a plain line elsewhere."""

    def __init__(self, what: str, total: int, unit: str, initial: int = 0) -> None:
        self.what = what
        self.total = total
        self.unit = unit
        self.done = initial
        self._initial = initial
        self._start = self._last = time.monotonic()
        self._bar = (
            tqdm(total=total, initial=initial, desc=what, unit=unit, dynamic_ncols=True)
            if sys.stderr.isatty()
            else None
        )

    def advance(self, note: str = "") -> None:
        """One unit more is done."""
        self.done += 1
        if self._bar is not None:
            self._bar.set_postfix_str(note, refresh=False)
            self._bar.update()
            return
        now = time.monotonic()
        if now - self._last >= QUIET_INTERVAL or self.done == self.total:
            self._last = now
            rate = (self.done - self._initial) / max(1e-9, now - self._start)
            left = (self.total - self.done) / max(1e-9, rate)
            tail = f", {note}" if note else ""
            print(
                f"{self.what}: {self.done}/{self.total} {self.unit}s, {rate:.1f}/s, "
                f"{left:.0f} s left{tail}",
                flush=True,
            )

    def close(self) -> None:
        """Leave the terminal in order."""
        if self._bar is not None:
            self._bar.close()


def track(items: Iterable[T], what: str, total: int, unit: str) -> Iterator[T]:
    """The items, with progress."""
    progress = Progress(what, total, unit)
    try:
        for item in items:
            yield item
            progress.advance()
    finally:
        progress.close()


@runtime_checkable
class Logger(Protocol):
    """Takes metrics by gradient step."""

    def log(self, step: int, metrics: dict[str, float]) -> None:
        """Record figures of one step."""
        ...

    def close(self) -> None:
        """Nothing more will come."""
        ...


class JsonlLogger:
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

    def close(self) -> None:
        """See :class:`Logger`."""
        self._file.close()


class WandbLogger:
    """Weights & Biases; offline by default, so that nobody is asked for an account."""

    def __init__(self, run_dir: Path, config: dict[str, Any], *, project: str, mode: str) -> None:
        try:
            import wandb
        except ImportError as error:
            raise UserError("logger=wandb needs the extra: pip install -e '.[wandb]'") from error
        allowed = ("offline", "online", "disabled")
        if mode not in allowed:
            raise UserError(f"wandb.mode={mode}; allowed: {', '.join(allowed)}")
        self._run = wandb.init(
            project=project,
            dir=run_dir,
            config=config,
            mode=mode,  # type: ignore[arg-type]
            name="/".join(run_dir.parts[-3:]),
            settings=wandb.Settings(console="off", silent=True),
        )

    def log(self, step: int, metrics: dict[str, float]) -> None:
        """See :class:`Logger`."""
        self._run.log(metrics, step=step)

    def close(self) -> None:
        """See :class:`Logger`."""
        self._run.finish()


def read_metrics(run_dir: Path) -> list[dict[str, float]]:
    """The rows of ``metrics.jsonl``; a last line cut short by a crash is left out."""
    path = run_dir / "metrics.jsonl"
    if not path.is_file():
        return []
    rows: list[dict[str, float]] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows
