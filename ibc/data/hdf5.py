"""Arrays out of HDF5 files that may be damaged."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ibc.data.episode import InvalidEpisode

#: Deflate cannot make data smaller than by this factor (zlib's technical notes: 1032).
MAX_COMPRESSION = 1100


def load(group: h5py.Group, name: str) -> NDArray[Any]:
    """The numbers of ``group[name]``.

    Raises:
        InvalidEpisode: it is not an array of numbers, or the file does not hold as much as its header says. HDF5 would
            fill what is missing with zeros, and try to find memory for any size.
    """
    node = group.get(name)
    if not isinstance(node, h5py.Dataset):
        raise InvalidEpisode(f"'{name}' is not there or not an array")
    if node.dtype.kind not in "fiub":
        raise InvalidEpisode(f"'{name}' is of type {node.dtype}, expected numbers")
    size = math.prod(node.shape) * node.dtype.itemsize
    if size > MAX_COMPRESSION * Path(node.file.filename).stat().st_size:
        raise InvalidEpisode(
            f"'{name}' is said to have shape {node.shape}, more than the file holds"
        )
    if node.chunks is None:
        if size and node.id.get_storage_size() < size:
            raise InvalidEpisode(f"'{name}' is incomplete")
        return np.asarray(node[()])
    pieces = _pieces(node)
    corners = [range(0, n, c) for n, c in zip(node.shape, node.chunks, strict=True)]
    array: NDArray[Any] = np.asarray(node[()])
    if set(pieces) != set(itertools.product(*corners)) or _lost(array, node, pieces):
        raise InvalidEpisode(f"'{name}' is incomplete")
    return array


def _pieces(node: h5py.Dataset) -> dict[tuple[int, ...], int]:
    """Where the pieces of an array begin and how many bytes each takes, of those that went through all filters."""
    found: dict[tuple[int, ...], int] = {}

    def note(chunk: Any) -> None:
        if chunk.filter_mask == 0:
            found[tuple(chunk.chunk_offset)] = chunk.size

    node.id.chunk_iter(note)
    return found


def _lost(array: NDArray[Any], node: h5py.Dataset, pieces: dict[tuple[int, ...], int]) -> bool:
    """Whether a compressed piece reads as zeros although it takes more than zeros would.

    A damaged index may list a piece that reading does not find, and fills up.
    """
    if node.compression is None:
        return False
    zeros = math.prod(node.chunks) * node.dtype.itemsize // 200 + 100
    for corner, size in pieces.items():
        where = tuple(slice(i, i + c) for i, c in zip(corner, node.chunks, strict=True))
        if size > zeros and not array[where].any():
            return True
    return False
