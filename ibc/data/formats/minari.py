"""Minari data sets in HDF5, which is also what ``collect_demos.py`` writes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ibc.data.episode import Episode, Frames, as_observation, check_count
from ibc.data.hdf5 import load
from ibc.data.store import DATA_FILE, METADATA_FILE
from ibc.data.stored_frames import StoredFrames
from ibc.errors import UserError
from ibc.spec import as_float32


def can_read(path: Path) -> bool:
    """A folder that holds ``data/main_data.hdf5``."""
    return (path / "data" / DATA_FILE).is_file()


def read(path: Path) -> Iterator[Episode]:
    """Every episode, in order.

    Raises:
        UserError: for images kept as JPEG, which would have to be decoded lossily, and if episodes are missing.
    """
    metadata = read_metadata(path)
    with h5py.File(path / "data" / DATA_FILE, "r") as file:
        count = sum(name.startswith("episode_") for name in file)
        check_episodes(path, metadata, count)
        for index in range(count):
            yield _episode(file[f"episode_{index}"])


def read_metadata(path: Path) -> dict[str, Any]:
    """What the data set says about itself; empty if it says nothing.

    Raises:
        UserError: it keeps its images as JPEG.
    """
    metadata_path = path / "data" / METADATA_FILE
    metadata = json.loads(metadata_path.read_text()) if metadata_path.is_file() else {}
    if not isinstance(metadata, dict):
        raise UserError(f"{metadata_path} is not a JSON object")
    has_images = '"uint8"' in str(metadata.get("observation_space"))
    if has_images and metadata.get("jpeg_encoding", False):
        raise UserError(f"{path} keeps its images as JPEG; write it again with jpeg_encoding=False")
    return metadata


def check_episodes(path: Path, metadata: dict[str, Any], count: int) -> None:
    """Raise UserError if the number of episodes is not the announced one."""
    if metadata.get("total_episodes", count) != count:
        raise UserError(f"{path} has {count} episodes; {metadata['total_episodes']} announced")


def _episode(group: h5py.Group) -> Episode:
    action = load(group, "actions")
    steps = len(action)
    check_count("actions", steps, group.attrs.get("total_steps", steps))
    success = np.zeros(steps, dtype=np.bool_)
    if "infos/success" in group:
        # Recorders that also keep the info of the reset have one entry more.
        success = load(group, "infos/success").reshape(-1).astype(np.bool_)[-steps:]
    seed = group.attrs.get("seed")
    return Episode(
        obs=_observations(group, "observations"),
        action=as_float32(action),
        reward=as_float32(load(group, "rewards")),
        success=success,
        terminated=bool(load(group, "terminations")[-1]),
        truncated=bool(load(group, "truncations")[-1]),
        seed=None if seed is None or str(seed) == "None" else int(seed),
    )


def _observations(parent: h5py.Group, key: str, name: str = "") -> dict[str, NDArray[Any] | Frames]:
    """Nested groups as flat names, ``outer/inner``; a bare array is called ``state`` or ``image``."""
    node = parent[key]
    if isinstance(node, h5py.Group):
        out: dict[str, NDArray[Any] | Frames] = {}
        for child in node:
            out |= _observations(node, child, f"{name}/{child}" if name else child)
        return out
    is_stored = StoredFrames.can_hold(node)
    array = StoredFrames(node) if is_stored else as_observation(load(parent, key))
    return {name or ("image" if array.dtype == np.uint8 else "state"): array}
