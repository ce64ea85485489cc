"""robomimic's HDF5 layout: ``data/demo_i`` groups with ``obs``, ``actions``, ``rewards`` and ``dones``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from ibc.data.episode import Episode, check_count
from ibc.data.hdf5 import load
from ibc.data.hdf5_observations import find_fields, read_observation, read_text
from ibc.data.request import Request
from ibc.errors import UserError
from ibc.spec import as_float32

DEMO = re.compile(r"demo_(\d+)")


def can_read(path: Path) -> bool:
    """An HDF5 file with a group ``data`` of demonstrations."""
    if not path.is_file() or path.suffix not in (".hdf5", ".h5"):
        return False
    with h5py.File(path, "r") as file:
        data = file.get("data")
        return isinstance(data, h5py.Group) and any(DEMO.fullmatch(name) for name in data)


def read(path: Path, request: Request) -> Iterator[Episode]:
    """Every demonstration, by number.

    Observations are those of ``obs``; the one after the last action comes from ``next_obs``, or is a copy of the last.
    The benchmark's reward is one where the task is solved and zero elsewhere; where it is such, it tells success.

    Raises:
        UserError: the file holds states of the simulator only, from which observations must be rendered first.
    """
    with h5py.File(path, "r") as file:
        data = file["data"]
        if kept := _names(file, "mask/valid"):
            print(
                f"{path}: mask/valid keeps {len(kept)} demonstrations for validation; all are read"
            )
        numbers = sorted(int(m[1]) for name in data if (m := DEMO.fullmatch(name)))
        for number in numbers:
            group = data[f"demo_{number}"]
            if "obs" not in group:
                raise UserError(
                    f"{path} has no observations; extract them with robomimic's dataset_states_to_obs.py"
                )
            yield _episode(path, group, request)


def _names(file: h5py.File, key: str) -> list[str]:
    """What a list of demonstrations holds, if the file has it."""
    found = file.get(key)
    return [str(name) for name in found.asstr()[:]] if isinstance(found, h5py.Dataset) else []


def _episode(path: Path, group: h5py.Group, request: Request) -> Episode:
    arrays = [name for name in group if isinstance(group[name], h5py.Dataset)]
    source = request.part("action", ("actions",), arrays) or "actions"
    action = as_float32(load(group, source))
    steps = len(action)
    check_count("actions", steps, group.attrs.get("num_samples", steps))
    rewards = request.part("reward", ("rewards",), arrays)
    reward = np.zeros(steps, np.float32) if rewards is None else as_float32(load(group, rewards))
    success = reward == 1.0 if np.isin(reward, (0.0, 1.0)).all() else np.zeros(steps, np.bool_)
    if (solved := request.part("success", (), arrays)) is not None:
        success = load(group, solved).reshape(-1).astype(np.bool_)
    done = load(group, "dones") if "dones" in group else np.zeros(steps)
    fields, texts = find_fields(group, "obs")
    wanted = request.observations(fields, arrays)
    return Episode(
        obs={
            name: read_observation(
                path, group, inside, steps=steps, last=f"next_{inside}" if "/" in inside else None
            )
            for name, inside in wanted.items()
        },
        action=action,
        reward=reward,
        success=success,
        terminated=bool(done[-1]),
        truncated=False,
        text={name: read_text(group["obs"][name]) for name in texts},
    )
