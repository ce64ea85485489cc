"""Minari data sets in HDF5, which is also what ``collect_demos.py`` writes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ibc.data.episode import Episode, InvalidEpisode
from ibc.data.store import DATA_FILE, METADATA_FILE
from ibc.errors import UserError
from ibc.types import NumpyObs, as_float32


def can_read(path: Path) -> bool:
    """A folder that holds ``data/main_data.hdf5``."""
    return (path / "data" / DATA_FILE).is_file()


def read(path: Path) -> Iterator[Episode]:
    """Every episode, in order.

    Raises:
        UserError: for images kept as JPEG, which would have to be decoded lossily.
    """
    metadata_path = path / "data" / METADATA_FILE
    metadata = json.loads(metadata_path.read_text()) if metadata_path.is_file() else {}
    encoded = metadata.get("jpeg_encoding", False) and '"uint8"' in str(
        metadata.get("observation_space")
    )
    if encoded:
        raise UserError(f"{path} keeps its images as JPEG; write it again with jpeg_encoding=False")
    with h5py.File(path / "data" / DATA_FILE, "r") as file:
        for index in range(len(file)):
            group = file[f"episode_{index}"]
            yield _episode(group)


def _episode(group: h5py.Group) -> Episode:
    steps = len(group["actions"])
    success = np.zeros(steps, dtype=np.bool_)
    if "infos/success" in group:
        # Recorders that also keep the info of the reset have one entry more.
        success = np.asarray(group["infos/success"]).reshape(-1).astype(np.bool_)[-steps:]
    seed = group.attrs.get("seed")
    return Episode(
        obs=_observations(group["observations"]),
        action=as_float32(group["actions"][()]),
        reward=as_float32(group["rewards"][()]),
        success=success,
        terminated=bool(group["terminations"][-1]),
        truncated=bool(group["truncations"][-1]),
        seed=None if seed is None or str(seed) == "None" else int(seed),
    )


def _observations(node: h5py.Group | h5py.Dataset, name: str = "") -> NumpyObs:
    """Nested groups as flat names, ``outer/inner``; a bare array is called ``state`` or ``image``."""
    if isinstance(node, h5py.Group):
        out: NumpyObs = {}
        for key, child in node.items():
            out |= _observations(child, f"{name}/{key}" if name else key)
        return out
    array: NDArray[Any] = node[()]
    if array.dtype.kind not in "fiub":
        raise InvalidEpisode(f"observation '{name}' is of type {array.dtype}, expected numbers")
    if array.dtype == np.uint8 and array.ndim == 4:
        return {name or "image": array}
    return {name or "state": as_float32(array)}
