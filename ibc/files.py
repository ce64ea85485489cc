"""Writing files so that nothing is ever half there."""

from __future__ import annotations

import os
from pathlib import Path

from ibc.errors import UserError


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file as a whole: a crash or a full disk leaves the old one untouched.

    Raises:
        UserError: it cannot be written.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
