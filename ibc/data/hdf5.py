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
    found = pieces(node)
    corners = [range(0, n, c) for n, c in zip(node.shape, node.chunks, strict=True)]
    array: NDArray[Any] = np.asarray(node[()])
    if set(found) != set(itertools.product(*corners)) or _lost(array, node, found):
        raise InvalidEpisode(f"'{name}' is incomplete")
    return array


def pieces(node: h5py.Dataset) -> dict[tuple[int, ...], int]:
    """Where the pieces of an array begin and how many bytes each takes, of those that went through all filters."""
    found: dict[tuple[int, ...], int] = {}

    def note(chunk: Any) -> None:
        if chunk.filter_mask == 0:
            found[tuple(chunk.chunk_offset)] = chunk.size

    node.id.chunk_iter(note)
    return found


def _lost(array: NDArray[Any], node: h5py.Dataset, found: dict[tuple[int, ...], int]) -> bool:
    """Whether a piece reads as zeros although the file has something else for it.

    A damaged index may list a piece that reading does not find, and fills up.
    """
    for corner, size in found.items():
        piece = array[tuple(slice(i, i + c) for i, c in zip(corner, node.chunks, strict=True))]
        if piece.any():
            continue
        if node.compression is not None and is_lost(piece, size):
            return True
        if node.compression is None and not _is_zero(node, corner, piece.nbytes):
            return True
    return False


def _is_zero(node: h5py.Dataset, corner: tuple[int, ...], size: int) -> bool:
    """Whether an uncompressed piece is there, and zero (minus zero, too)."""
    try:
        _, content = node.id.read_direct_chunk(corner)
    except (OSError, ValueError, RuntimeError):
        return False
    return not np.frombuffer(content[:size], dtype=node.dtype).any()  # a checksum follows


def is_lost(piece: NDArray[Any], size: int) -> bool:
    """Whether a piece is all zeros although ``size`` bytes of the file are more than compressed zeros take."""
    return size > piece.nbytes // 200 + 100 and not piece.any()
