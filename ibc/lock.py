"""Locks between processes: one file each, held while it is open."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO

from ibc.errors import UserError


class Busy(Exception):
    """Another process holds the lock."""


def hold(path: Path, *, waiting_for: str | None = None) -> IO[bytes]:
    """The file, opened and locked; closing it, or the end of the process, lets the next one have it.

    Args:
        path: of the file, which is made where it is missing.
        waiting_for: what the other process is making; one line then says that this one waits. None does not wait.

    Raises:
        Busy: another process holds it, and ``waiting_for`` is None.
        OSError: the file cannot be made.
        UserError: this system has no such locks.
    """
    try:
        import fcntl
    except ImportError as error:
        raise UserError("this needs locks of files as Linux and macOS have them") from error
    told = False
    while True:
        file = path.open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if waiting_for is None:
                file.close()
                raise Busy from error
            if not told:
                print(f"waiting for {waiting_for}, which another process is making", flush=True)
                told = True
            fcntl.flock(file, fcntl.LOCK_EX)
        if _is_at(file, path):
            return file
        file.close()  # it was removed, or moved with its folder, before this process had it


def _is_at(file: IO[bytes], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
