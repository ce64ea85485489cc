"""D4RL's flat HDF5 layout: all episodes end to end, with flags at their ends."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ibc.data.episode import Episode, InvalidEpisode
from ibc.data.hdf5 import load
from ibc.data.request import Request
from ibc.errors import UserError
from ibc.spec import as_float32

OPTIONAL = ("rewards", "terminals", "timeouts", "next_observations", "infos/success")


def can_read(path: Path) -> bool:
    """An HDF5 file with a flat ``observations`` array."""
    if not path.is_file() or path.suffix not in (".hdf5", ".h5"):
        return False
    with h5py.File(path, "r") as file:
        return isinstance(file.get("observations"), h5py.Dataset)


def read(path: Path, request: Request) -> Iterator[Episode]:
    """Every episode, cut where ``terminals`` or ``timeouts`` is set.

    The layout has T observations for T actions; the one after the last action comes from ``next_observations``, or is a
    copy of the last, which no training window ever shows. A last episode without an end flag is kept as a recording
    that just stops. Files of D4RL's ``v0`` have no ``timeouts``, and other people's files some that are never set:
    there an episode also ends after ``request.episode_length`` steps, which the file does not tell.

    Raises:
        UserError: an array is missing, lengths differ, or nothing marks the end of an episode.
    """
    with h5py.File(path, "r") as file:
        there = [name for name in file if isinstance(file[name], h5py.Dataset)]
        source = request.part("action", ("actions",), there)
        if source is None:
            raise UserError(f"{path} lacks actions; there are {', '.join(there)}")
        ((name, inside),) = _one_observation(request, there).items()
        arrays = {n: load(file, n) for n in OPTIONAL if n in file}
        arrays |= {"actions": load(file, source), "observations": load(file, inside)}
        for part, usual in (("reward", "rewards"), ("success", "infos/success")):
            if (renamed := request.part(part, (), there)) is not None:
                arrays[usual] = load(file, renamed)
    lengths = {name: len(array) if array.ndim else 0 for name, array in arrays.items()}
    if len(set(lengths.values())) != 1:
        raise UserError(f"{path} has arrays of different lengths: {lengths}")
    obs, action = as_float32(arrays["observations"]), as_float32(arrays["actions"])
    if obs.ndim != 2 or action.ndim != 2:
        raise InvalidEpisode(
            f"observations are {obs.shape} and actions {action.shape}, expected vectors"
        )
    after = as_float32(arrays.get("next_observations", obs))
    total = len(action)
    reward = as_float32(_column(arrays, "rewards", total))
    terminals, timeouts = _flags(arrays, "terminals", total), _flags(arrays, "timeouts", total)
    success = _flags(arrays, "infos/success", total)
    bounds = _bounds(path, terminals, timeouts, request.episode_length)
    for start, stop in itertools.pairwise(bounds):
        episode = slice(start, stop)
        yield Episode(
            obs={name: np.concatenate([obs[episode], after[stop - 1 : stop]])},
            action=action[episode],
            reward=reward[episode],
            success=success[episode],
            terminated=bool(terminals[stop - 1]),
            truncated=bool(timeouts[stop - 1]),
        )


def _one_observation(request: Request, there: Sequence[str]) -> dict[str, str]:
    wanted = request.observations({"state": "observations"}, there)
    if len(wanted) != 1:
        raise UserError(f"D4RL's layout has one observation; {', '.join(wanted)} were asked for")
    return wanted


def _bounds(
    path: Path,
    terminals: NDArray[np.bool_],
    timeouts: NDArray[np.bool_],
    episode_length: int | None,
) -> NDArray[np.int64]:
    """Where episodes begin and end, 0 and the number of steps included."""
    total = len(terminals)
    lengths = np.diff(np.flatnonzero(timeouts), prepend=-1)
    if episode_length is not None and lengths.size and lengths.min() > episode_length:
        print(
            f"{path} marks the ends of its episodes, of {lengths.min()} steps and more; "
            f"data.episode_length={episode_length} changes nothing"
        )
    ends = {int(t) + 1 for t in np.flatnonzero(terminals | timeouts)}
    if not timeouts.any() and episode_length is not None:
        for start, stop in itertools.pairwise(sorted(ends | {0, total})):
            cuts = set(range(start + episode_length, stop, episode_length))
            ends |= cuts
            timeouts[[cut - 1 for cut in cuts]] = True
        if total and not ends:  # one episode, which is not longer
            ends = {total}
    if not ends:
        raise UserError(
            f"{path} has no end of an episode: neither terminals nor timeouts is ever set; "
            "say how long its episodes are by data.episode_length=..."
        )
    return np.array(sorted(ends | {0, total}), dtype=np.int64)


def _flags(arrays: dict[str, NDArray[Any]], name: str, total: int) -> NDArray[np.bool_]:
    """One flag a step; all false if the file does not have them."""
    flags = _column(arrays, name, total)
    if not np.isin(flags, (0, 1)).all():
        raise InvalidEpisode(f"'{name}' holds other values than 0 and 1")
    return flags.astype(np.bool_)


def _column(arrays: dict[str, NDArray[Any]], name: str, total: int) -> NDArray[Any]:
    """(N,) or (N, 1) numbers as (N,); zeros if the file does not have them."""
    array = arrays.get(name, np.zeros(total))
    if array.size != len(array):
        raise InvalidEpisode(f"'{name}' has shape {array.shape}, expected one number a step")
    return array.reshape(-1)
