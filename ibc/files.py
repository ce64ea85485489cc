"""Writing files so that nothing is ever half there."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from pathlib import Path
from typing import Any

from ibc.errors import UserError


def check_writable(path: Path) -> None:
    """Try to write a file, before the work that it will hold; what is there stays as it is.

    Raises:
        UserError: as :func:`write_atomically`.
    """
    _refuse_others(path)
    trial = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        trial.touch()
        trial.unlink()
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error


def _refuse_others(path: Path) -> None:
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise UserError(f"cannot write {path}: it is there, and not a plain file")


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file as a whole: a crash or a full disk leaves the old one untouched.

    Each writer has a temporary file of its own in the same folder, so that the last of several is the one that stays.

    Raises:
        UserError: it cannot be written, or there is something else than a plain file: a folder, a link, a device.
    """
    _refuse_others(path)
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):  # gone if all went well
            temporary.unlink()


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Read a file of JSON objects, one a line; a last line cut short by a crash is left out.

    Raises:
        UserError: it cannot be read, or another line holds no object; the message names file and line.
    """
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
        except ValueError as error:  # of JSON, and of UTF-8
            if number == len(lines) and not line.endswith(b"\n"):
                break
            raise UserError(f"{path}, line {number}: not JSON") from error
        if not isinstance(row, dict):
            raise UserError(f"{path}, line {number}: not a JSON object")
        rows.append(row)
    return rows


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
    except (OSError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(
            f"cannot read {path}: {getattr(error, 'strerror', None) or error}"
        ) from error
