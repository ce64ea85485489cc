"""Minari data sets in Arrow or Parquet: a folder an episode, with one row more than it has steps."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from minari.serialization import deserialize_space
from numpy.typing import NDArray

from ibc.data.arrow import column, numbers, read_table
from ibc.data.episode import Episode, InvalidEpisode, as_observation, check_count
from ibc.data.formats.minari import check_episodes, read_metadata
from ibc.data.store import METADATA_FILE
from ibc.spec import NumpyObs, as_float32

FORMATS = ("arrow", "parquet")


def can_read(path: Path) -> bool:
    """A folder whose ``data`` holds numbered folders of Arrow or Parquet files."""
    return (path / "data" / METADATA_FILE).is_file() and any(
        next((path / "data").glob(f"*/*.{kind}"), None) for kind in FORMATS
    )


def read(path: Path) -> Iterator[Episode]:
    """Every episode, by number.

    Raises:
        UserError: for images kept as JPEG, and if episodes are missing.
    """
    metadata = read_metadata(path)
    space = deserialize_space(metadata["observation_space"])
    numbered = [p for p in (path / "data").iterdir() if p.is_dir() and p.name.isdecimal()]
    folders = sorted(numbered, key=lambda folder: int(folder.name))
    check_episodes(path, metadata, len(folders))
    for folder in folders:
        yield _episode(folder, space)


def _episode(folder: Path, space: gym.Space[Any]) -> Episode:
    files = [file for file in sorted(folder.iterdir()) if file.suffix[1:] in FORMATS]
    if len(files) != 1:
        raise InvalidEpisode(f"{folder.name} holds {len(files)} files of data, expected one")
    about = json.loads((folder / METADATA_FILE).read_text())
    table = read_table(files[0])
    steps = len(table) - 1
    check_count("steps", steps, about.get("total_steps", steps))
    action = numbers(column(table, "actions"), "actions")[:steps]
    seed = about.get("seed")
    return Episode(
        obs=_observations(column(table, "observations"), space, ""),
        action=as_float32(action.reshape(steps, -1)),
        reward=as_float32(numbers(column(table, "rewards"), "rewards")[:steps]),
        success=_success(table, steps),
        terminated=bool(numbers(column(table, "terminations"), "terminations")[steps - 1]),
        truncated=bool(numbers(column(table, "truncations"), "truncations")[steps - 1]),
        seed=seed if isinstance(seed, int) else None,
    )


def _success(table: Any, steps: int) -> NDArray[np.bool_]:
    """``info["success"]`` after each step; recorders that keep the info of the reset have one entry more."""
    if "infos" in table.column_names:
        infos = column(table, "infos")
        if infos.type.get_field_index("success") >= 0:
            return numbers(infos.field("success"), "success").reshape(-1).astype(np.bool_)[-steps:]
    return np.zeros(steps, dtype=np.bool_)


def _observations(array: Any, space: gym.Space[Any], name: str) -> NumpyObs:
    """Nested spaces as flat names, ``outer/inner``; a bare array is called ``state`` or ``image``."""
    if isinstance(space, gym.spaces.Dict):
        out: NumpyObs = {}
        for key, child in space.spaces.items():
            out |= _observations(array.field(key), child, f"{name}/{key}" if name else key)
        return out
    if space.shape is None:
        raise InvalidEpisode(f"observation '{name}' is from {space}, expected Box")
    flat = numbers(array, name)
    values = as_observation(flat.reshape(len(flat), *space.shape))
    return {name or ("image" if values.dtype == np.uint8 else "state"): values}
