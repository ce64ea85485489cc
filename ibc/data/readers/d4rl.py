"""D4RL's flat HDF5 layout: all episodes end to end, with flags at their ends."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from ibc.data.episode import Episode
from ibc.errors import UserError
from ibc.types import as_float32

REQUIRED = ("observations", "actions", "rewards", "terminals")


def can_read(path: Path) -> bool:
    """An HDF5 file with a flat ``observations`` array."""
    if not path.is_file() or path.suffix not in (".hdf5", ".h5"):
        return False
    with h5py.File(path, "r") as file:
        return isinstance(file.get("observations"), h5py.Dataset)


def read(path: Path) -> Iterator[Episode]:
    """Every episode, cut where ``terminals`` or ``timeouts`` is set.

    The layout has T observations for T actions; the one after the last action is filled with a copy of the last, which
    no training window ever shows. A last episode without an end flag is kept as a recording that just stops.

    Raises:
        UserError: an array is missing, lengths differ, or nothing marks the end of an episode.
    """
    with h5py.File(path, "r") as file:
        missing = [name for name in REQUIRED if name not in file]
        if missing:
            raise UserError(
                f"{path} lacks {', '.join(missing)}; D4RL's layout has {', '.join(REQUIRED)}"
            )
        names = [*REQUIRED, *(n for n in ("timeouts", "infos/success") if n in file)]
        arrays: dict[str, NDArray[np.generic]] = {name: file[name][()] for name in names}
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) != 1:
        raise UserError(f"{path} has arrays of different lengths: {lengths}")
    terminals = arrays["terminals"].reshape(-1).astype(np.bool_)
    timeouts = arrays.get("timeouts", np.zeros(len(terminals))).reshape(-1).astype(np.bool_)
    ends = np.flatnonzero(terminals | timeouts) + 1
    if len(ends) == 0:
        raise UserError(
            f"{path} has no end of an episode: neither terminals nor timeouts is ever set"
        )
    bounds = np.unique(np.concatenate([[0], ends, [len(terminals)]]))
    obs = as_float32(arrays["observations"])
    action = as_float32(arrays["actions"])
    reward = as_float32(arrays["rewards"].reshape(-1))
    success = arrays.get("infos/success", np.zeros(len(terminals))).reshape(-1).astype(np.bool_)
    for start, stop in itertools.pairwise(bounds):
        episode = slice(start, stop)
        yield Episode(
            obs={"state": np.concatenate([obs[episode], obs[stop - 1 : stop]])},
            action=action[episode],
            reward=reward[episode],
            success=success[episode],
            terminated=bool(terminals[stop - 1]),
            truncated=bool(timeouts[stop - 1]),
        )
