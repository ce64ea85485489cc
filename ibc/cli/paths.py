"""Keys whose value is a path, or a list of paths."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ibc.errors import UserError


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
