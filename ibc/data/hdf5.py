"""Arrays into HDF5 files, and out of such that may be damaged."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ibc.data.episode import Frames, InvalidEpisode

#: Compression of zeros leaves at most this part of them; weaker kinds than deflate leave more.
ZEROS_LEFT = {h5py.h5z.FILTER_DEFLATE: 1 / 200}
ZEROS_LEFT_OTHERS = 1 / 20
#: Filters that change no number and leave as many bytes, but for a checksum.
PLAIN_FILTERS = (h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32)
CHECKSUM_SIZE = 4
#: Bytes of an array up to which the size of its file is not asked for, which would take longer.
MAX_UNCHECKED_SIZE = 1 << 16
#: Rows of an array that is not in pieces, read at once.
ROWS = 16

#: Deflate cannot make data smaller than by this factor (zlib's technical notes: 1032).
MAX_COMPRESSION = 1100


def load(group: h5py.Group | Mapping[str, Any], name: str) -> NDArray[Any]:
    """The numbers of ``group[name]``.

    Raises:
        InvalidEpisode: it is not an array of numbers, or the file does not hold as much as its header says. HDF5 would
            fill what is missing with zeros, and try to find memory for any size.
    """
    node = group.get(name)
    return read_whole(node, name, check_whole(node, name))


def read_whole(node: h5py.Dataset, name: str, found: dict[tuple[int, ...], int]) -> NDArray[Any]:
    """The numbers of an array of which :func:`check_whole` has ``found`` the pieces; see :func:`load`."""
    array: NDArray[Any] = np.asarray(node[()])
    if _lost(array, node, found, 0):
        raise InvalidEpisode(f"'{name}' is incomplete")
    return array


def rows(node: h5py.Dataset) -> Iterator[NDArray[Any]]:
    """The rows of an array, of which a few are in memory at once.

    Raises:
        InvalidEpisode: a piece of it is lost.
    """
    by_row: dict[int, dict[tuple[int, ...], int]] = {}
    for corner, size in () if node.chunks is None else pieces(node).items():
        by_row.setdefault(corner[0], {})[corner] = size
    step = ROWS if node.chunks is None else node.chunks[0]
    for start in range(0, len(node), step):
        part: NDArray[Any] = np.asarray(node[start : start + step])
        if _lost(part, node, by_row.get(start, {}), start):
            raise InvalidEpisode(f"'{node.name}' is incomplete")
        yield from part


def check_whole(node: object, name: str) -> dict[tuple[int, ...], int]:
    """Raise InvalidEpisode if it is no array of numbers, or the file does not hold as much as its header says.

    Returns:
        the :func:`pieces` of an array that is in pieces.
    """
    if not isinstance(node, h5py.Dataset):
        raise InvalidEpisode(f"'{name}' is not there or not an array")
    if node.dtype.kind not in "fiub":
        raise InvalidEpisode(f"'{name}' is of type {node.dtype}, expected numbers")
    size = math.prod(node.shape) * node.dtype.itemsize
    if node.is_virtual or size > MAX_UNCHECKED_SIZE:
        sources = _check_sources(node, name) if node.is_virtual else []
        files = [Path(node.file.filename), *sources]
        if size > MAX_COMPRESSION * sum(file.stat().st_size for file in files):
            raise InvalidEpisode(
                f"'{name}' is said to have shape {node.shape}, more than the file holds"
            )
    if node.chunks is None:
        if not node.is_virtual and node.id.get_storage_size() < size:
            raise InvalidEpisode(f"'{name}' is incomplete")
        return {}
    found = pieces(node)
    corners = [range(0, n, c) for n, c in zip(node.shape, node.chunks, strict=True)]
    if found.keys() != set(itertools.product(*corners)):
        raise InvalidEpisode(f"'{name}' is incomplete")
    return found


def is_text(node: object) -> bool:
    """Whether an array holds text."""
    return isinstance(node, h5py.Dataset) and (
        node.dtype.kind == "S" or h5py.check_string_dtype(node.dtype) is not None
    )


def _check_sources(node: h5py.Dataset, name: str) -> list[Path]:
    """The files of which a virtual array is put together; HDF5 fills what it does not find with zeros."""
    files, covered = [], 0
    for part in node.virtual_sources():
        own = Path(node.file.filename)
        places = (
            [own] if part.file_name == "." else [Path(part.file_name), own.parent / part.file_name]
        )
        file = next((place for place in places if place.is_file()), None)
        if file is None:
            raise InvalidEpisode(f"'{name}' is in {part.file_name}, which is not there")
        with h5py.File(file, "r") as source:
            inner = source.get(part.dset_name)
            if isinstance(inner, h5py.Dataset) and inner.is_virtual:
                raise InvalidEpisode(f"'{name}' is virtual twice over; store it as an array")
            load(source, part.dset_name)
        files.append(file)
        covered += part.vspace.get_select_npoints()
    if covered < math.prod(node.shape):
        raise InvalidEpisode(f"'{name}' is incomplete")
    return files


def pieces(node: h5py.Dataset) -> dict[tuple[int, ...], int]:
    """Where the pieces of an array begin and how many bytes each takes, of those that are whole.

    Compression may be left out for a piece that would not shrink; it then has its full size.
    """
    found: dict[tuple[int, ...], int] = {}
    filters = _filters(node)
    full = math.prod(node.chunks) * node.dtype.itemsize
    full += CHECKSUM_SIZE * (h5py.h5z.FILTER_FLETCHER32 in filters)

    def note(chunk: Any) -> None:
        skipped = {code for bit, code in enumerate(filters) if chunk.filter_mask >> bit & 1}
        known = chunk.filter_mask >> len(filters) == 0
        if not skipped or (known and not skipped & set(PLAIN_FILTERS) and chunk.size == full):
            found[tuple(chunk.chunk_offset)] = chunk.size

    node.id.chunk_iter(note)
    return found


def _filters(node: h5py.Dataset) -> list[int]:
    plist = node.id.get_create_plist()
    return [plist.get_filter(i)[0] for i in range(plist.get_nfilters())]


def _lost(
    array: NDArray[Any], node: h5py.Dataset, found: dict[tuple[int, ...], int], first: int
) -> bool:
    """Whether a piece reads as zeros although the file has something else for it; ``array`` begins at row ``first``.

    A damaged index may list a piece that reading does not find, and fills up.
    """
    for corner, size in found.items():
        inside = (corner[0] - first, *corner[1:])
        piece = array[tuple(slice(i, i + c) for i, c in zip(inside, node.chunks, strict=True))]
        if not piece.any() and is_lost(node, corner, size):
            return True
    return False


def is_lost(node: h5py.Dataset, corner: tuple[int, ...], size: int) -> bool:
    """Whether a piece that reads as zeros takes ``size`` bytes of the file, which are more than zeros take."""
    full = math.prod(node.chunks) * node.dtype.itemsize
    left = [ZEROS_LEFT.get(f, ZEROS_LEFT_OTHERS) for f in _filters(node) if f not in PLAIN_FILTERS]
    if left:
        return bool(size > full * max(left) + 100)
    return not _is_zero(node, corner, full)


def _is_zero(node: h5py.Dataset, corner: tuple[int, ...], size: int) -> bool:
    """Whether an uncompressed piece is there, and zero (minus zero, too)."""
    try:
        _, content = node.id.read_direct_chunk(corner)
    except (OSError, ValueError, RuntimeError):
        return False
    return not np.frombuffer(content[:size], dtype=node.dtype).any()  # a checksum follows


def write_array(group: h5py.Group, name: str, array: NDArray[Any]) -> None:
    """Write with a checksum, so that damage is noticed; images compressed, one frame a chunk."""
    group.create_dataset(name, data=array, **_layout(array.shape, array.dtype))


def write_frames(group: h5py.Group, name: str, frames: Frames) -> None:
    """The same of pictures of which one at a time is in memory."""
    layout = _layout(frames.shape, frames.dtype)
    node = group.create_dataset(name, frames.shape, frames.dtype, **layout)
    for step, frame in enumerate(frames):
        node[step] = frame


def _layout(shape: tuple[int, ...], dtype: np.dtype[Any]) -> dict[str, Any]:
    if dtype == np.uint8:  # a window is then read without its neighbors
        chunks = (1, *shape[1:])
        return {"chunks": chunks, "compression": "gzip", "compression_opts": 1, "fletcher32": True}
    return {"chunks": shape, "fletcher32": True}
