"""One command in a process of its own, with limits on time and memory, and what became of it."""

import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot  # noqa: F401  this and the next one would take each process a second
import torch
import torch._dynamo

from benchmarks.config import main as benchmark_main
from benchmarks.study import study
from ibc.cli.app import main

#: Seconds and bytes that a command may take.
LIMIT, MEMORY = 30.0, 6 * 2**30
SURVIVED = ("done", "refused", "interrupted")


@dataclass(frozen=True)
class Outcome:
    """What became of a command.

    Attributes:
        kind: ``done``; ``refused``, with one line and exit code 2; ``interrupted``, with exit code 130; ``killed``;
            ``traceback``, ``hang``, ``crash``, or ``several lines``.
        line: the last line that it has printed.
        seconds: that it took.
    """

    kind: str
    line: str
    seconds: float

    @property
    def survived(self) -> bool:
        """Whether it ended as it should."""
        return self.kind in SURVIVED


class Attempt:
    """A command that is under way in a forked process, which has imported everything already."""

    def __init__(self, arguments: Sequence[str], folder: Path, *, memory: int = MEMORY) -> None:
        self.output, self.errors = folder / ".stdout", folder / ".stderr"
        self.start = time.monotonic()
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            os._exit(self._child(arguments, folder, memory))

    def _child(self, arguments: Sequence[str], folder: Path, memory: int) -> int:
        code: object = 0
        try:
            os.setpgid(0, 0)
            os.chdir(folder)
            for number, path in ((1, self.output), (2, self.errors)):
                os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
            sys.stdout, sys.stderr = (os.fdopen(n, "w", closefd=False) for n in (1, 2))
            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            torch.set_num_threads(1)
            _run(list(arguments))
        except SystemExit as error:
            code = error.code
        except BaseException:
            traceback.print_exc()
            code = 1
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        return code if isinstance(code, int) else int(code is not None)

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def wait(self, limit: float = LIMIT) -> Outcome:
        """Wait until it has ended, at most so many seconds."""
        hang = False
        while not (ended := os.waitpid(self.pid, os.WNOHANG))[0]:
            if not hang and time.monotonic() - self.start > limit:
                hang = True
                os.kill(self.pid, signal.SIGKILL)
            time.sleep(0.005)
        seconds = time.monotonic() - self.start
        errors = self.errors.read_text(errors="replace") if self.errors.exists() else ""
        lines = [line for line in errors.splitlines() if line.strip()]
        kind = "hang" if hang else _kind(ended[1], lines)
        return Outcome(kind, lines[-1] if lines else "", seconds)


def _run(arguments: list[str]) -> None:
    if arguments[:1] == ["study"]:
        sys.argv = arguments
        benchmark_main(study, "study")
    else:
        main(arguments)


def _kind(status: int, lines: Sequence[str]) -> str:
    if os.WIFSIGNALED(status):
        return "killed" if os.WTERMSIG(status) in (signal.SIGKILL, signal.SIGTERM) else "crash"
    code = os.WEXITSTATUS(status)
    if any(line.startswith("Traceback") for line in lines):
        return "traceback"
    if code in (0, 130):
        return "done" if code == 0 else "interrupted"
    if code == 2 and sum(line.startswith("error: ") for line in lines) == 1:
        return "refused"
    return "several lines"


def attempt(arguments: Sequence[str], folder: Path, *, limit: float = LIMIT) -> Outcome:
    """Run a command to its end."""
    return Attempt(arguments, folder).wait(limit)
