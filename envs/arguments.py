"""Checks of what constructors of environments are given; a number from a command line may be of any type."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def whole(**arguments: Any) -> None:
    """Raises ValueError: an argument is no whole number from 1 on."""
    for name, value in arguments.items():
        if isinstance(value, bool) or not hasattr(value, "__index__") or value < 1:
            raise ValueError(f"{name}={value}; it must be a whole number, at least 1")


def not_given(arguments: Mapping[str, Any], *names: str) -> None:
    """Raises ValueError: an argument of these names is given, which would have no effect, or none that makes sense."""
    if unused := sorted(set(names) & set(arguments)):
        raise ValueError(f"{', '.join(unused)}: this task has none")


def not_negative(**arguments: Any) -> None:
    """Raises ValueError: an argument is negative, infinite or NaN."""
    for name, value in arguments.items():
        if not 0 <= value < math.inf:
            raise ValueError(f"{name}={value}; it must not be negative, and finite")
