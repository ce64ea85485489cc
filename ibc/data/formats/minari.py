"""Minari data sets in HDF5, which is also what ``collect_demos.py`` writes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from minari.dataset.minari_storage import is_image_space
from minari.serialization import deserialize_space
from numpy.typing import NDArray

from ibc.data.episode import Episode, Frames, check_count
from ibc.data.hdf5 import load
from ibc.data.hdf5_observations import find_fields, read_jpegs, read_observation, read_text
from ibc.data.request import Request
from ibc.data.spaces import flatten_space
from ibc.data.store import DATA_FILE, METADATA_FILE
from ibc.errors import UserError
from ibc.files import read_json_object
from ibc.spec import as_float32


def can_read(path: Path) -> bool:
    """A folder that holds ``data/main_data.hdf5``."""
    return (path / "data" / DATA_FILE).is_file()


def read(path: Path, request: Request) -> Iterator[Episode]:
    """Every episode, in order; where rewards or ends are not recorded they are zero and false.

    Raises:
        UserError: episodes are missing.
    """
    metadata = read_metadata(path)
    encoded = encoded_pictures(metadata)
    with h5py.File(path / "data" / DATA_FILE, "r") as file:
        count = sum(name.startswith("episode_") for name in file)
        check_episodes(path, metadata, count)
        for index in range(count):
            yield _episode(path, file[f"episode_{index}"], request, encoded)


def read_metadata(path: Path) -> dict[str, Any]:
    """What the data set says about itself; empty if it says nothing."""
    file = path / "data" / METADATA_FILE
    return read_json_object(file) if file.is_file() else {}


def encoded_pictures(metadata: dict[str, Any]) -> dict[str, int]:
    """Observations that are kept as JPEG, by the rule of Minari, with their numbers of channels."""
    if not metadata.get("jpeg_encoding", False) or "observation_space" not in metadata:
        return {}
    spaces = flatten_space(deserialize_space(metadata["observation_space"]))
    return {
        name: space.shape[2] if len(space.shape) == 3 else 1
        for name, space in spaces.items()
        if is_image_space(space)
    }


def check_episodes(path: Path, metadata: dict[str, Any], count: int) -> None:
    """Raise UserError if the number of episodes is not the announced one."""
    if metadata.get("total_episodes", count) != count:
        raise UserError(f"{path} has {count} episodes; {metadata['total_episodes']} announced")


def _episode(
    path: Path, group: h5py.Group, request: Request, encoded: Mapping[str, int]
) -> Episode:
    nodes = dict(group.items())
    arrays = [name for name, node in nodes.items() if isinstance(node, h5py.Dataset)]
    source = request.part("action", ("actions",), arrays) or "actions"
    action = as_float32(load(nodes, source))
    steps = len(action)
    check_count("actions", steps, group.attrs.get("total_steps", steps))
    success = np.zeros(steps, dtype=np.bool_)
    solved = request.part("success", (), arrays) or "infos/success"
    if solved in group:
        # Recorders that also keep the info of the reset have one entry more.
        success = load(group, solved).reshape(-1).astype(np.bool_)[-steps:]
    seed = group.attrs.get("seed")
    fields, texts = find_fields(group, "observations")
    if encoded and list(fields) == ["state"]:  # pictures as JPEG look like vectors
        fields = dict.fromkeys(encoded, "observations") or fields
    short = {inside: name for name, inside in fields.items()}
    obs: dict[str, NDArray[Any] | Frames] = {}
    for name, inside in request.observations(fields, arrays).items():
        channels = encoded.get(short.get(inside, ""))
        if channels is None:
            obs[name] = read_observation(path, group, inside, steps=steps)
        else:
            obs[name] = read_jpegs(path, group, inside, channels)
    return Episode(
        obs=obs,
        action=action,
        reward=as_float32(_optional(nodes, request.part("reward", (), arrays) or "rewards", steps)),
        success=success,
        terminated=bool(_optional(nodes, "terminations", steps)[-1]),
        truncated=bool(_optional(nodes, "truncations", steps)[-1]),
        seed=None if seed is None or str(seed) == "None" else int(seed),
        text={name: read_text(group["observations"][name]) for name in texts}
        | json.loads(group.attrs.get("text", "{}")),
    )


def _optional(nodes: Mapping[str, Any], name: str, steps: int) -> NDArray[Any]:
    return load(nodes, name) if name in nodes else np.zeros(steps)
