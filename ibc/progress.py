"""Progress of long work: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

from ibc.distributed import is_first

T = TypeVar("T")

#: Seconds between lines of progress when the output is not a terminal.
QUIET_INTERVAL = 15.0


class Progress:
    """A bar with rate and remaining time on a terminal, and now and then a plain line elsewhere.

    Without a ``total`` it shows how much is done.
    """

    def __init__(self, what: str, total: int | None, unit: str, initial: int = 0) -> None:
        self.what = what
        self.total = total
        self.unit = unit
        self.done = initial
        self._initial = initial
        self._start = self._last = time.monotonic()
        self._bar = (
            tqdm(total=total, initial=initial, desc=what, unit=unit, dynamic_ncols=True)
            if sys.stderr.isatty() and is_first()
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
            line = f"{self.what}: {self.done} {self.unit}s, {rate:.1f}/s"
            if self.total is not None:
                left = (self.total - self.done) / max(1e-9, rate)
                line = (
                    f"{self.what}: {self.done}/{self.total} {self.unit}s, {rate:.1f}/s, "
                    f"{left:.0f} s left"
                )
            print(f"{line}, {note}" if note else line, flush=True)

    def close(self) -> None:
        """Leave the terminal in order."""
        if self._bar is not None:
            self._bar.close()


def track(items: Iterable[T], what: str, total: int | None, unit: str) -> Iterator[T]:
    """The items, with progress."""
    progress = Progress(what, total, unit)
    try:
        for item in items:
            yield item
            progress.advance()
    finally:
        progress.close()
