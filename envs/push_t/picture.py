"""The table from above, drawn with OpenCV in the colors of the recorded demonstrations."""

from __future__ import annotations

import cv2
import numpy as np
from ibc_envs.push_t.simulation import AGENT_RADIUS, SIDE, Simulation, target_bars
from numpy.typing import NDArray

_TABLE, _WALL, _TARGET = (255, 255, 255), (211, 211, 211), (144, 238, 144)
_AGENT, _AGENT_RIM = (78, 126, 255), (65, 105, 225)
_BLOCK, _BLOCK_RIM = (143, 163, 184), (119, 136, 153)
#: Width of the rims of agent and block and of the walls, in pixels of the table.
_RIM, _BORDER = 4, 4


def draw(simulation: Simulation, size: int) -> NDArray[np.uint8]:
    """Draw a picture (size, size, 3), x to the right and y down."""
    image = np.full((int(SIDE), int(SIDE), 3), _TABLE, np.uint8)
    for bar in target_bars():
        cv2.fillConvexPoly(image, np.rint(bar).astype(np.int32), _TARGET)
    cv2.rectangle(image, (5, 5), (506, 506), _WALL, _BORDER)
    for bar in simulation.bars():
        corners = np.rint(bar).astype(np.int32)
        cv2.fillConvexPoly(image, corners, _BLOCK)
        cv2.polylines(image, [corners], True, _BLOCK_RIM, _RIM)
    center = np.rint(simulation.agent).astype(int).tolist()
    cv2.circle(image, center, round(AGENT_RADIUS), _AGENT_RIM, -1)
    cv2.circle(image, center, round(AGENT_RADIUS) - _RIM, _AGENT, -1)
    return np.asarray(cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR), np.uint8)
