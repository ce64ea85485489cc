"""Angles of squares."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def quarter_turn_error(angle: float) -> float:
    """The angle (rad) from the nearest multiple of a quarter turn, in [-pi/4, pi/4)."""
    return float((angle + np.pi / 4) % (np.pi / 2) - np.pi / 4)


def direction(angle: float) -> Array:
    """The unit vector (2,) at this angle from x."""
    return np.array([np.cos(angle), np.sin(angle)])
