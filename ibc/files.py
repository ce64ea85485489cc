"""Writing files so that nothing is ever half there."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

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
        with contextlib.suppress(OSError):  # where the folder itself cannot be used
            temporary.unlink()
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error


def read_json_object(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object.

    Raises:
        UserError: as :func:`read_json`, or it holds something else.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise UserError(f"{path} is not a JSON object")
    return content


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        UserError: it is missing or unreadable, or holds no JSON; the message names file and line.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise UserError(f"{path}, line {error.lineno}: {error.msg}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"cannot read {path}: {getattr(error, 'strerror', None) or error}"
        ) from error
