"""Observations in groups of HDF5 files: nested ones, text among them, pictures that stay in the file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ibc.data.episode import Frames, InvalidEpisode
from ibc.data.frames import decode_image
from ibc.data.hdf5 import check_whole, is_text, load, read_whole, rows
from ibc.data.pictures import is_picture
from ibc.data.stored_frames import StoredFrames
from ibc.data.streamed_frames import StreamedFrames, with_last_again
from ibc.spec import as_float32

#: Groups within groups that are looked through.
DEEPEST = 16


def find_fields(group: h5py.Group, key: str) -> tuple[dict[str, str], list[str]]:
    """What is below ``group[key]``: arrays as ``{outer/inner: name from the group}``, and names of texts.

    A bare array is called ``state`` or, of pictures, ``image``.
    """
    node = group.get(key)
    if isinstance(node, h5py.Dataset):
        is_images = node.ndim == 4 or (node.ndim == 3 and node.dtype == np.uint8)
        return {"image" if is_images else "state": key}, []
    fields: dict[str, str] = {}
    texts: list[str] = []
    if not isinstance(node, h5py.Group):
        raise InvalidEpisode(f"there is no '{key}'; there are {', '.join(group)}")

    for name, child in _below(node):
        if is_text(child):
            texts.append(name)
        else:
            fields[name] = f"{key}/{name}"
    return fields, texts


def _below(
    group: h5py.Group, prefix: str = "", depth: int = 0
) -> Iterator[tuple[str, h5py.Dataset]]:
    """Every array below a group, through links as well, which may lead in circles."""
    for name in group:
        child = group.get(name)  # None where a link leads nowhere
        if isinstance(child, h5py.Dataset):
            yield f"{prefix}{name}", child
        elif isinstance(child, h5py.Group) and depth < DEEPEST:
            yield from _below(child, f"{prefix}{name}/", depth + 1)


def read_text(node: h5py.Dataset) -> str:
    """The different entries of an array of text, in order."""
    entries = np.atleast_1d(node[()]).reshape(-1).tolist()
    words = (e.decode("utf-8", "replace") if isinstance(e, bytes) else str(e) for e in entries)
    return "; ".join(dict.fromkeys(words))


def read_observation(
    path: Path, group: h5py.Group, name: str, *, steps: int, last: str | None = None
) -> NDArray[Any] | Frames:
    """An observation over an episode (T + 1, *shape): vectors in memory, pictures still in the file.

    Args:
        path: of the data set, for messages.
        group: of the episode.
        name: of the array in the group. Where it has T entries, one follows from ``last``, or the last once more.
        steps: T.
        last: name of an array whose last entry is the observation after the last action.

    Raises:
        InvalidEpisode: the array is damaged, of another length, or of pictures in another layout.
    """
    node = group.get(name)
    found = check_whole(node, name)
    if len(node.shape) == 0 or node.shape[0] not in (steps, steps + 1):
        raise InvalidEpisode(
            f"observation '{name}' has shape {node.shape}, expected {steps} entries"
        )
    short = node.shape[0] == steps
    if is_picture(name, node.shape[1:], node.dtype):
        if not short and StoredFrames.can_hold(node):
            return StoredFrames(node)
        return _pictures(path, group, name, short, last)
    array = read_whole(node, name, found)
    if short:
        after = load(group, last)[-1:] if last is not None and last in group else array[-1:]
        array = np.concatenate([array, after])
    return as_float32(array)


def read_jpegs(path: Path, group: h5py.Group, name: str, channels: int) -> Frames:
    """Pictures that are kept as JPEG files, one an entry, of one length or of several.

    Raises:
        InvalidEpisode: the first cannot be decoded.
    """
    file, full = Path(group.file.filename), f"{group.name}/{name}"
    node = group[name]

    def read() -> Iterator[NDArray[np.uint8]]:
        with h5py.File(file, "r") as opened:
            entries = opened[full]
            for number in range(len(entries)):
                yield decode_image(np.asarray(entries[number], dtype=np.uint8).tobytes())[
                    ..., :channels
                ]

    height, width, _ = decode_image(np.asarray(node[0], dtype=np.uint8).tobytes()).shape
    return StreamedFrames(path, (len(node), height, width, channels), read)


def _pictures(
    path: Path, group: h5py.Group, name: str, short: bool, last: str | None
) -> StreamedFrames:
    file, full = Path(group.file.filename), f"{group.name}/{name}"
    node = group[name]
    after = f"{group.name}/{last}" if short and last is not None and last in group else None

    def read() -> Iterator[NDArray[Any]]:
        with h5py.File(file, "r") as opened:
            yield from rows(opened[full])
            if after is not None:
                check_whole(opened[after], after)
                yield opened[after][-1]

    shape = (node.shape[0] + short, *node.shape[1:])
    repeats = short and after is None
    return StreamedFrames(path, shape, lambda: with_last_again(read()) if repeats else read())
