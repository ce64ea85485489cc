"""How to push a block to a point with a rod: a rule of the present state alone.

The published expert is a machine of five phases that remembers which one it is in. This one looks only at where things
are, so that a policy without memory can imitate it: the same observation always gets the same action, and a disturbed
course is taken up where it is.

The face to push on is the one whose inward normal points best towards the aim. In the frame of that face (u along the
normal, s along the face), pushing off the center by s turns the block, and so does dragging the face sideways, in the
same direction. Both are used: the rod goes for an offset against the error of the block's heading. It advances only as
far as it is near that offset; else it stands off, and if it is not behind the block, it first travels round it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ibc_envs.block_push.geometry import direction, quarter_turn_error
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Steps (m): greatest while traveling and while pushing.
TRAVEL, PUSH = 0.05, 0.025
#: u of the rod's center where it touches a face, and where it stands off.
CONTACT, STAND_OFF = -0.025, -0.037
#: Offset along the face for each rad of heading error, and its limit, inside the face.
OFFSET_GAIN, MAX_OFFSET = 0.05, 0.012
#: Distance from the offset up to which the rod advances fully, and from which it does not.
NEAR, FAR = 0.004, 0.010
#: The heading error is measured at a point this far behind the block's center (m), where nothing else is said.
PIVOT = 0.02
#: How much of the push is given up at the greatest heading error (45 degrees).
SLOW_TURN = 0.6
#: Traveling round a block: radius, and angle of one leg (rad). Within BEHIND (rad) of the face's normal it is not
#: needed.
AROUND_RADIUS, AROUND_ANGLE, BEHIND = 0.052, 0.8, 0.9


def towards(rod: Array, goal: Array, longest: float) -> Array:
    """The step from ``rod`` to ``goal``, shortened if it is longer than ``longest``."""
    step = goal - rod
    length = float(np.linalg.norm(step))
    return step if length <= longest else step * (longest / length)


def push(
    rod: Array,
    block: Array,
    yaw: float,
    aim: Array,
    distance: float,
    obstacles: Sequence[Array] = (),
    pivot: float = PIVOT,
) -> Array:
    """The step (2,) of the rod that brings a block closer to ``aim``.

    Args:
        rod: its set-point (2,).
        block: center (2,).
        yaw: of the block (rad), up to quarter turns.
        aim: the point (2,) towards which the block is pushed.
        distance: how far it should still go (m).
        obstacles: centers of other blocks, which the rod travels round.
        pivot: how far behind the block's center its heading is measured (m); 0 for an aim that keeps its distance.
    """
    heading = aim - block
    angle = float(np.arctan2(heading[1], heading[0]))
    error = quarter_turn_error(angle - yaw)
    normal = direction(angle - error)
    along = np.array([-normal[1], normal[0]])
    # Seen from behind the block, the aim's direction does not swing round as the block arrives.
    error = float(np.arctan2(heading @ along, heading @ normal + pivot))
    u, s = float((rod - block) @ normal), float((rod - block) @ along)
    bearing = float(np.arctan2(s, -u))
    if abs(bearing) > BEHIND:
        left = bearing - np.sign(bearing) * AROUND_ANGLE
        goal = block + AROUND_RADIUS * (-normal * np.cos(left) + along * np.sin(left))
        return _travel(rod, goal, obstacles)
    offset = float(np.clip(-OFFSET_GAIN * error, -MAX_OFFSET, MAX_OFFSET))
    free = float(np.clip((FAR - abs(s - offset)) / (FAR - NEAR), 0.0, 1.0))
    advance = min(PUSH * (1 - SLOW_TURN * abs(error) / (np.pi / 4)), distance)
    goal_u = (1 - free) * STAND_OFF + free * (CONTACT + advance)
    goal = block + normal * goal_u + along * offset
    if u < STAND_OFF - 0.01:
        return _travel(rod, goal, obstacles)
    return towards(rod, goal, PUSH + 0.01)


def _travel(rod: Array, goal: Array, obstacles: Sequence[Array]) -> Array:
    for center in obstacles:
        goal = detour(rod, goal, center)
    return towards(rod, goal, TRAVEL)


def detour(rod: Array, goal: Array, center: Array) -> Array:
    """The goal, or a point on the way round an obstacle that lies between the rod and the goal."""
    span, to_center = goal - rod, center - rod
    fraction = np.clip(span @ to_center / max(float(span @ span), 1e-12), 0.0, 1.0)
    if np.linalg.norm(rod + fraction * span - center) > 0.9 * AROUND_RADIUS or fraction == 0.0:
        return goal
    here, there = (np.arctan2(p[1] - center[1], p[0] - center[0]) for p in (rod, goal))
    turn = (there - here + np.pi) % (2 * np.pi) - np.pi
    far = float(np.linalg.norm(to_center))
    leg = max(AROUND_ANGLE, float(np.arccos(min(1.0, AROUND_RADIUS / far))))
    return center + AROUND_RADIUS * direction(here + np.sign(turn) * min(abs(turn), leg))
