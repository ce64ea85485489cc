"""Keys whose value is a path, or a list of paths."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ibc.errors import UserError
from ibc.files import check_writable


def paths_of(config: Mapping[str, Any], key: str) -> list[Path]:
    """The paths under a key that takes one or several.

    Raises:
        UserError: they are not paths.
    """
    given = config[key]
    paths = given if isinstance(given, list) else [given]
    if not paths or not all(isinstance(path, str) and path for path in paths):
        raise UserError(f"{key}={given}; it must be a path, or a list of paths")
    return [Path(path).expanduser() for path in paths]


def check_outputs(config: Mapping[str, Any], *keys: str) -> None:
    """Refuse files that could not be written, before the work that they will hold.

    Raises:
        UserError: one of the keys names such a file.
    """
    for key in keys:
        if config[key] is not None:
            check_writable(Path(config[key]).expanduser())
