"""The table from above, drawn with OpenCV."""

from __future__ import annotations

import cv2
import numpy as np
from ibc_envs.planar_sweep.simulation import (
    HALF_SIDE,
    PIECE_RADIUS,
    STICK_LENGTH,
    STICK_THICKNESS,
    Array,
)
from numpy.typing import NDArray

_TABLE, _ZONE, _PIECE, _STICK = (246, 244, 240), (120, 205, 120), (205, 70, 50), (45, 85, 215)
#: Binary digits behind the point of OpenCV's coordinates: movements below a pixel are seen.
_SHIFT = 6


def draw(stick: Array, pieces: Array, zone_radius: float, size: int) -> NDArray[np.uint8]:
    """A picture (size, size, 3): x to the right, y up, the walls at its edge.

    ``stick`` (3,): x, y (m), yaw (rad); ``pieces`` (N, 2) and ``zone_radius`` in m.
    """
    scale = size / (2 * HALF_SIDE)

    def pixels(points: Array) -> NDArray[np.int32]:
        # OpenCV's coordinates are those of centers of pixels.
        columns_and_rows = (HALF_SIDE + points * (1, -1)) * scale - 0.5
        return np.rint(columns_and_rows * 2**_SHIFT).astype(np.int32)

    def length(meters: float) -> int:
        return round(meters * scale * 2**_SHIFT)

    picture = np.full((size, size, 3), _TABLE, np.uint8)
    cv2.circle(
        picture, pixels(np.zeros(2)).tolist(), length(zone_radius), _ZONE, -1, cv2.LINE_AA, _SHIFT
    )
    radius = length(PIECE_RADIUS)
    for center in pixels(pieces).tolist():
        cv2.circle(picture, center, radius, _PIECE, -1, cv2.LINE_AA, _SHIFT)
    along, across = np.array([np.cos(stick[2]), np.sin(stick[2])]), STICK_THICKNESS / 2
    normal = np.array([-along[1], along[0]])
    half = STICK_LENGTH / 2
    corners = [
        stick[:2] + a * half * along + b * across * normal
        for a, b in ((1, 1), (1, -1), (-1, -1), (-1, 1))
    ]
    cv2.fillPoly(picture, [pixels(np.array(corners))], _STICK, cv2.LINE_AA, _SHIFT)
    return picture
