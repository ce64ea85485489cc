"""The scripted expert of bi-manual sweeping. It sees observations, and no simulator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ibc_envs.bimanual_sweep.places import Array, in_bowls, on_scoop, on_tray
from ibc_envs.bimanual_sweep.scene import BLADE_WIDTH, BOWLS, TRAY
from numpy.typing import NDArray

#: Greatest changes of a set-point in a control step: traveling, closing, between table and air (m); turning (rad),
#: with pieces and without.
STEP, CLOSE_STEP, LIFT_STEP, TILT, TURN = 0.025, 0.02, 0.015, 0.1, 0.2
#: Heights of a lip (m): on the table; below which it counts as there; above which it may travel; traveling.
FLOOR, LOW, FREE, TRAVEL = -0.01, 0.008, 0.06, 0.085
#: Where lips stand before they close (m from the middle), and the gap (m) at which they are closed.
OPEN, BEGUN, CLOSED, BESIDE = 0.17, 0.3, 0.004, 0.04
#: How far one lip then moves over the other, and how far above it (m): the pieces between them roll onto the lower.
OVERLAP, ABOVE = 0.010, 0.020
#: Which one is above the other by more than this (m) stays so.
STARTED = 0.006
#: Pitches (rad): with the blade almost level on the table; that keeps pieces on a scoop; that pours them out.
LEVEL, HOLD, POUR = -0.1, -0.3, 0.75
#: From a bowl's middle to where its scoop pours (m, outwards), and how near counts as there (m).
POUR_ASIDE, THERE = 0.035, 0.012
#: How far (m) the foremost piece lies within the side of a scoop, and how far lanes keep from the tray's walls.
MARGIN, WALL_GAP = 0.022, 0.075

SIDES = (-1, 1)


class BimanualSweepExpert:
    """Closes both scoops over a lane, lifts what has climbed on each, and pours it into the bowl on its side.

    Lanes are taken from front to back: the next one always has the foremost piece at its edge. When the lips meet, the
    scoop whose bowl is fuller moves a little over the other, which thereby gets the pieces between them; that makes the
    bowls even. What it does follows from the observation alone: from where the scoops are, and what lies on them.
    """

    def reset(self, env_index: int, seed: int) -> None:
        """A new episode begins in environment ``env_index``; nothing is kept from step to step."""

    def act(self, env_indices: Sequence[int], obs: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
        """Set-point deltas (E, 1, 12) for windows ``{name: (E, To, *shape)}``."""
        actions = []
        for i in range(len(env_indices)):
            poses = np.stack([obs[f"{arm}_pose"][i, -1] for arm in ("left", "right")])
            there = obs["pieces_mask"][i, -1] > 0.5
            pieces = obs["pieces"][i, -1][there].astype(np.float64)
            actions.append(decide(poses.astype(np.float64), pieces).ravel())
        return np.array(actions, np.float32)[:, None]


def decide(poses: Array, pieces: Array) -> Array:
    """The deltas (2, 6) for scoops at ``poses`` (2, 6) and ``pieces`` (N, 3)."""
    loads = [on_scoop(pose, side, pieces) for pose, side in zip(poses, SIDES, strict=True)]
    lying = pieces[on_tray(pieces) & ~loads[0] & ~loads[1]]
    apart = abs(poses[0, 1] - poses[1, 1])
    gap = poses[1, 0] - poses[0, 0]
    giver = _giver(poses, pieces)
    if gap < CLOSED and apart < BESIDE and poses[1 - giver, 2] < FREE:
        return _lift(poses, giver)
    ready = bool((poses[:, 2] < LOW).all()) and (apart < THERE or gap < BEGUN)
    lane = float(poses[:, 1].mean()) if ready else _lane(lying)
    out = np.zeros((2, 6))
    for i, side in enumerate(SIDES):
        if poses[i, 2] >= LOW and loads[i].any():
            out[i] = _pour(poses[i], side)
        elif poses[i, 2] >= LOW:
            out[i] = _return(poses[i], side, lane, more=len(lying) > 0)
        elif ready:
            out[i] = _towards(poses[i], (0.0, lane, FLOOR), 0.0, CLOSE_STEP)
        else:
            out[i] = _towards(poses[i], (side * OPEN, lane, FLOOR), 0.0)
    return out


def _giver(poses: Array, pieces: Array) -> int:
    """The scoop that reaches over the other: what is begun is finished, else that of the fuller bowl."""
    above = poses[1, 2] - poses[0, 2]
    if abs(above) > STARTED:
        return int(above > 0)
    left, right = in_bowls(pieces).sum(1)
    return int(right >= left)


def _lift(poses: Array, giver: int) -> Array:
    """Both scoops up, their lips together; the giver's leads, and reaches over the other's."""
    receiver = 1 - giver
    (x, y, z), (above_x, above_y, above_z) = poses[receiver, :3], poses[giver, :3]
    over = SIDES[receiver] * (above_x - x)
    out = np.zeros((2, 6))
    if z > LOW or (above_z - z > 0.7 * ABOVE and over > 0.7 * OVERLAP):
        up = max(above_z, min(z + ABOVE, TRAVEL))
        out[giver] = _towards(poses[giver], (above_x, above_y, up), HOLD, LIFT_STEP, TILT)
        out[receiver] = _towards(poses[receiver], (x, y, TRAVEL), HOLD, LIFT_STEP, TILT)
    else:
        goal = (x + SIDES[receiver] * OVERLAP, above_y, max(above_z, z + ABOVE))
        out[giver] = _towards(poses[giver], goal, HOLD, LIFT_STEP, TILT)
        out[receiver] = _towards(poses[receiver], (x, y, FLOOR), LEVEL, LIFT_STEP, TILT)
    return out


def _pour(pose: Array, side: int) -> Array:
    """Up, to the scoop's bowl, and out."""
    x, y = BOWLS[SIDES.index(side)]
    goal = np.array([x + side * POUR_ASIDE, y])
    if pose[2] < FREE:
        return _towards(pose, (pose[0], pose[1], TRAVEL), HOLD, LIFT_STEP, TILT)
    there = np.abs(goal - pose[:2]).max() < THERE
    return _towards(pose, (*goal, TRAVEL), POUR if there else HOLD)


def _return(pose: Array, side: int, lane: float, *, more: bool) -> Array:
    """Through the air to where the lane begins, and down if there is something to scoop."""
    goal = np.array([side * OPEN, lane if more else pose[1]])
    if more and np.abs(goal - pose[:2]).max() < THERE:
        return _towards(pose, (*goal, FLOOR), 0.0, CLOSE_STEP)
    if pose[2] < FREE:
        return _towards(pose, (pose[0], pose[1], TRAVEL), 0.0)
    return _towards(pose, (*goal, TRAVEL), 0.0)


def _towards(
    pose: Array, place: Sequence[float], pitch: float, step: float = STEP, turn: float = TURN
) -> Array:
    """The delta (6,) to ``place`` (x, y, z) and ``pitch``, no yaw and no roll, by at most ``step`` and ``turn``."""
    shift = np.array(place) - pose[:3]
    shift[:2] *= min(1.0, step / max(float(np.linalg.norm(shift[:2])), 1e-9))
    shift[2] = np.clip(shift[2], -step, step)
    rotation = np.clip(np.array([0.0, pitch, 0.0]) - pose[3:], -turn, turn)
    return np.concatenate([shift, rotation])


def _lane(lying: Array) -> float:
    """Where along y to close, so that the foremost piece is just within the scoops."""
    if len(lying) == 0:
        return 0.0
    low, high = TRAY[0][1] + WALL_GAP, TRAY[1][1] - WALL_GAP
    return float(np.clip(lying[:, 1].min() + BLADE_WIDTH / 2 - MARGIN, low, high))
