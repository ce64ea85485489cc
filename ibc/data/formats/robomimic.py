"""robomimic's HDF5 layout: ``data/demo_i`` groups with ``obs``, ``actions``, ``rewards`` and ``dones``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from ibc.data.episode import Episode, InvalidEpisode, as_observation, check_count
from ibc.data.hdf5 import load
from ibc.errors import UserError
from ibc.spec import NumpyObs, as_float32

DEMO = re.compile(r"demo_(\d+)")


def can_read(path: Path) -> bool:
    """An HDF5 file with a group ``data`` of demonstrations."""
    if not path.is_file() or path.suffix not in (".hdf5", ".h5"):
        return False
    with h5py.File(path, "r") as file:
        data = file.get("data")
        return isinstance(data, h5py.Group) and any(DEMO.fullmatch(name) for name in data)


def read(path: Path) -> Iterator[Episode]:
    """Every demonstration, by number.

    Observations are those of ``obs``; the one after the last action comes from ``next_obs``, or is a copy of the last.
    The benchmark's reward is one where the task is solved and zero elsewhere; where it is such, it tells success.

    Raises:
        UserError: the file holds states of the simulator only, from which observations must be rendered first.
    """
    with h5py.File(path, "r") as file:
        data = file["data"]
        numbers = sorted(int(m[1]) for name in data if (m := DEMO.fullmatch(name)))
        for number in numbers:
            group = data[f"demo_{number}"]
            if "obs" not in group:
                raise UserError(
                    f"{path} has no observations; extract them with robomimic's dataset_states_to_obs.py"
                )
            yield _episode(group)


def _episode(group: h5py.Group) -> Episode:
    action = as_float32(load(group, "actions"))
    steps = len(action)
    check_count("actions", steps, group.attrs.get("num_samples", steps))
    reward = as_float32(load(group, "rewards")) if "rewards" in group else np.zeros(steps, "f4")
    sparse = bool(np.isin(reward, (0.0, 1.0)).all())
    done = load(group, "dones") if "dones" in group else np.zeros(steps)
    return Episode(
        obs=_observations(group, steps),
        action=action,
        reward=reward,
        success=reward == 1.0 if sparse else np.zeros(steps, dtype=np.bool_),
        terminated=bool(done[-1]),
        truncated=False,
    )


def _observations(group: h5py.Group, steps: int) -> NumpyObs:
    out: NumpyObs = {}
    for name in group["obs"]:
        array = load(group, f"obs/{name}")
        if len(array) != steps:
            raise InvalidEpisode(f"observation '{name}' has {len(array)} entries, expected {steps}")
        after = f"next_obs/{name}"
        last = load(group, after)[-1:] if after in group else array[-1:]
        out[name] = as_observation(np.concatenate([array, last]))
    return out
