"""The scripted expert of planar sweeping."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Set-point changes a control step at most (m, rad), and the radius (m) to which pieces are swept, within the zone.
MAX_STEP, MAX_TURN, INSIDE = 0.03, 0.3, 0.086
#: Distance from the middle (m) at which the stick goes round.
RING = 0.215
#: Half the width (m) of the strip in which pieces are chosen, and of the strip in which sweeping continues: the
#: difference is a hysteresis, without which a piece at the edge starts and stops the sweep in turn.
CHOSEN, SWEPT = 0.055, 0.062
#: The ring's width (m): nearer the middle, the stick is sweeping or going back.
RING_WIDTH = 0.012
#: Angle (rad) at which a direction counts as reached.
ALIGNED = 0.03
#: Directions that are compared.
DIRECTIONS = 72
#: Pieces that a way round of one radian is worth, and one radian more against the episode's habit.
WAY, HABIT = 4.0, 1.5


class PlanarSweepExpert:
    """Sweeps towards the middle, goes straight back, and round to where it can take most.

    What it does follows from the observation alone: if unswept pieces lie between stick and middle, it pushes; if not,
    it returns to a ring outside of all pieces, and moves along it to the direction with most pieces for the way. Only a
    habit is drawn for each episode: clockwise or the other way, where both are as good.
    """

    def __init__(self) -> None:
        self._habit: dict[int, float] = {}

    def reset(self, env_index: int, seed: int) -> None:
        """A new episode begins in environment ``env_index``."""
        self._habit[env_index] = np.random.default_rng(seed).choice([-1.0, 1.0])

    def act(
        self, env_indices: Sequence[int], obs: dict[str, NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """Set-point deltas (E, 1, 3) for windows ``{name: (E, To, *shape)}``."""
        now = {name: window[:, -1].astype(np.float64) for name, window in obs.items()}
        actions = []
        for i, env_index in enumerate(env_indices):
            cosine, sine = now["setpoint_orientation"][i]
            pieces = now["pieces"][i][now["pieces_mask"][i] > 0.5]
            actions.append(
                decide(
                    now["setpoint_translation"][i],
                    np.arctan2(sine, cosine) / 2,
                    pieces,
                    self._habit[env_index],
                )
            )
        return np.array(actions, np.float32)[:, None]


def decide(stick: Array, yaw: float, pieces: Array, habit: float) -> Array:
    """The delta (3,) for a set-point at ``stick`` (2,), ``yaw``, and ``pieces`` (N, 2)."""
    radius, angle = float(np.linalg.norm(stick)), float(np.arctan2(stick[1], stick[0]))
    outside = pieces[np.linalg.norm(pieces, axis=-1) > INSIDE]
    turn = _half_turns(angle + np.pi / 2 - yaw)
    if radius > RING - RING_WIDTH:
        way = _best_way(angle, outside, habit)
        if abs(way) > ALIGNED:
            step = np.clip(way, -MAX_STEP / RING, MAX_STEP / RING)
            target = RING * _direction(angle + step)
            return _delta(target - stick, turn + step)
        inwards = True
    else:
        inwards = bool(_ahead(outside, np.array([angle]), radius, SWEPT).any())
    radius += -MAX_STEP if inwards else MAX_STEP
    return _delta(min(radius, RING) * _direction(angle) - stick, turn)


def _best_way(angle: float, outside: Array, habit: float) -> float:
    """The signed angle along the ring to where most pieces are, less what the way costs."""
    # The directions are fixed on the table: seen from the stick, they would change as it moves, and so would the best.
    directions = np.linspace(-np.pi, np.pi, DIRECTIONS, endpoint=False)
    ways = (directions - angle + np.pi) % (2 * np.pi) - np.pi
    count = _ahead(outside, directions, RING, CHOSEN).sum(-1)
    cost = WAY * np.abs(ways) + HABIT * np.maximum(-habit * ways, 0.0)
    return float(ways[np.argmax(np.where(count > 0, count - cost, -np.inf))])


def _ahead(pieces: Array, angles: Array, radius: float, half_width: float) -> NDArray[np.bool_]:
    """Which ``pieces`` (N, 2) a stick at each of ``angles`` (K,) and ``radius`` would push to the middle, (K, N)."""
    inwards = _direction(angles) @ pieces.T
    aside = _direction(angles + np.pi / 2) @ pieces.T
    ahead: NDArray[np.bool_] = (inwards > 0.0) & (inwards < radius) & (np.abs(aside) < half_width)
    return ahead


def _delta(shift: Array, turn: float) -> Array:
    shift = shift * min(1.0, MAX_STEP / max(float(np.linalg.norm(shift)), 1e-9))
    return np.append(shift, np.clip(turn, -MAX_TURN, MAX_TURN))


def _half_turns(angle: float) -> float:
    """The same direction of a stick, between minus and plus a quarter turn."""
    return float((angle + np.pi / 2) % np.pi - np.pi / 2)


def _direction(angle: Array | float) -> Array:
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1)
