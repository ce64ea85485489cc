"""Where pieces are: in a bowl, in the tray, on a scoop, lost."""

from __future__ import annotations

import numpy as np
from ibc_envs.bimanual_sweep.scene import (
    BLADE_LENGTH,
    BLADE_WIDTH,
    BOWL_HEIGHT,
    BOWL_RIM,
    BOWLS,
    PIECE_RADIUS,
    TRAY,
)
from numpy.typing import NDArray

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]

#: Middles of pieces that lie on the table are lower than this (m), as are those of two on top of each other.
LYING = 0.03
#: Heights (m) above a scoop's blade between which a piece lies on it.
ON_SCOOP = (0.6 * PIECE_RADIUS, 0.06)


def in_bowls(pieces: Array) -> Bools:
    """Which of ``pieces`` (N, 3) are in the left and in the right bowl, (2, N): inside the rim and below it."""
    away = np.linalg.norm(pieces[:, :2] - np.array(BOWLS)[:, None], axis=-1)
    inside: Bools = (away < BOWL_RIM) & (pieces[:, 2] < BOWL_HEIGHT)
    return inside


def on_tray(pieces: Array) -> Bools:
    """Which of ``pieces`` (N, 3) lie within the tray's walls."""
    inside: Bools = ((pieces[:, :2] > TRAY[0]) & (pieces[:, :2] < TRAY[1])).all(1)
    return inside & (pieces[:, 2] < LYING)


def on_scoop(pose: Array, side: int, pieces: Array) -> Bools:
    """Which of ``pieces`` (N, 3) lie on the scoop at ``pose`` (6,); ``side`` is -1 for the left one, 1 for the right.

    Roll is neglected: nobody wants any.
    """
    ahead, aside, up = (pieces - pose[:3]).T * ((-side,), (-side,), (1,))
    cos, sin = np.cos(pose[3]), np.sin(pose[3])
    ahead, aside = cos * ahead + sin * aside, cos * aside - sin * ahead
    cos, sin = np.cos(pose[4]), np.sin(pose[4])
    ahead, up = cos * ahead - sin * up, sin * ahead + cos * up
    on: Bools = (
        (ahead > -BLADE_LENGTH - PIECE_RADIUS)
        & (ahead < PIECE_RADIUS / 2)
        & (np.abs(aside) < BLADE_WIDTH / 2)
        & (up > ON_SCOOP[0])
        & (up < ON_SCOOP[1])
    )
    return on


def lost(pieces: Array) -> Bools:
    """Which of ``pieces`` (N, 3) lie on the table neither in the tray nor in a bowl: no scoop gets there."""
    return (pieces[:, 2] < 1.5 * PIECE_RADIUS) & ~on_tray(pieces) & ~in_bowls(pieces).any(0)
