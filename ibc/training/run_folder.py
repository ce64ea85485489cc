"""Run folders: one folder a run, used by one process at a time, never overwritten by accident."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from ibc.errors import UserError
from ibc.lock import Busy, hold

CHECKPOINT = "checkpoint.pt"
BEST = "checkpoint_best.pt"
EVALUATION = "evaluation.json"
VIDEO = "video.mp4"
REPORT = "report.html"


@contextmanager
def run_folder(path: Path, *, resume: bool) -> Iterator[Path]:
    """A folder for a run, held by this process alone.

    Raises:
        UserError: it holds a run already and ``resume`` is false, or another process is using it.
    """
    if not resume and (path / CHECKPOINT).exists():
        raise UserError(
            f"{path} holds a run already; continue it by resume=true, or choose another run_dir=..."
        )
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = hold(path / ".lock")
    except Busy as error:
        raise UserError(f"{path} is in use by another process") from error
    except OSError as error:
        raise UserError(f"cannot use run folder {path}: {error.strerror}") from error
    with lock:
        yield path


class StopRequest:
    """Turns the first Ctrl-C or SIGTERM into a question the training loop asks between steps.

    A second one interrupts at once.
    """

    def __init__(self) -> None:
        self.received = False

    def __enter__(self) -> StopRequest:
        self._before = {s: signal.signal(s, self._note) for s in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received:
            raise KeyboardInterrupt
        self.received = True
