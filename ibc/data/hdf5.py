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
        complete = node.id.get_storage_size() >= size or size == 0
    else:
        complete = _has_all_chunks(node)
    if not complete:
        raise InvalidEpisode(f"'{name}' is incomplete")
    array: NDArray[Any] = np.asarray(node[()])
    return array


def _has_all_chunks(node: h5py.Dataset) -> bool:
    """Whether every piece of the array is in the file, and went through all its filters."""
    found: set[tuple[int, ...]] = set()

    def note(chunk: Any) -> None:
        if chunk.filter_mask == 0:
            found.add(tuple(chunk.chunk_offset))

    node.id.chunk_iter(note)
    corners = [range(0, n, c) for n, c in zip(node.shape, node.chunks, strict=True)]
    return found == set(itertools.product(*corners))
