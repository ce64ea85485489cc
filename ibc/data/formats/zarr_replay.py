"""Replay buffers in zarr, versions 2 and 3: arrays in ``data``, and ``meta/episode_ends`` (diffusion_policy's layout).

zarr is optional: only data sets that need it ask for it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ibc.data.episode import Episode, InvalidEpisode
from ibc.data.replay import ReplayArray, read_replay
from ibc.data.request import Request
from ibc.errors import UserError

#: Bytes that compression turns one byte into at most, of numbers that are not all the same.
MAX_COMPRESSION = 10_000


def can_read(path: Path) -> bool:
    """A folder that zarr has written, or a zip file of one."""
    if path.is_file():
        return path.name.endswith(".zarr.zip")
    return any((path / name).is_file() for name in (".zgroup", "zarr.json"))


def read(path: Path, request: Request) -> Iterator[Episode]:
    """Every episode. The layout has as many observations as actions; the last one is repeated.

    Raises:
        UserError: zarr is not installed, or the layout is another one.
    """
    try:
        import zarr
        from zarr.storage import ZipStore
    except ImportError as error:
        raise UserError(f"{path} needs zarr: pip install ibc[zarr]") from error
    store: Any = ZipStore(path, mode="r") if path.is_file() else str(path)
    root = zarr.open_group(store, mode="r")
    if "meta" not in root or "data" not in root or "episode_ends" not in root["meta"]:
        raise UserError(
            f"{path} is not a replay buffer, whose arrays are in data/ and whose episodes end at meta/episode_ends; "
            f"it has {', '.join(sorted(root)) or 'nothing'}"
        )
    arrays = {name: _Array(name, array) for name, array in root["data"].arrays()}
    ends = _Array("episode_ends", root["meta"]["episode_ends"]).load()
    yield from read_replay(path, arrays, ends, request)


class _Array(ReplayArray):
    """An array of a buffer. Pieces of it that are not there would be read as zeros, which is an error here.

    zarr leaves out pieces that are all zero, as of rewards, where it is not told otherwise: these may be filled.
    An array that has no pieces at all is all the same.
    """

    def __init__(self, name: str, array: Any) -> None:
        self.name, self._array = name, array
        self.shape, self.dtype = tuple(array.shape), np.dtype(array.dtype)

    def load(self, *, filled: bool = False) -> NDArray[Any]:
        self._check(filled)
        return self._part(slice(None))

    def rows(self) -> Iterator[NDArray[Any]]:
        self._check()
        step = self._array.chunks[0]
        for start in range(0, self.shape[0], step):
            yield from self._part(slice(start, start + step))

    def _part(self, rows: slice) -> NDArray[Any]:
        try:
            return np.asarray(self._array[rows])
        except Exception as error:  # each kind of compression fails with types of its own
            reason = " ".join(str(error).split())
            raise InvalidEpisode(f"'{self.name}' cannot be decoded ({reason})") from error

    def _check(self, filled: bool = False) -> None:
        there, announced = self._array.nchunks_initialized, self._array.nchunks
        if there not in (0, announced) and not filled:
            raise InvalidEpisode(
                f"{announced - there} of the {announced} pieces of '{self.name}' are missing; leave it out by "
                "data.obs_names, or, if they are zeros, write it with zarr's write_empty_chunks"
            )
        size = math.prod(self.shape) * self.dtype.itemsize
        if size > MAX_COMPRESSION * max(self._array.nbytes_stored(), 1):
            raise InvalidEpisode(
                f"'{self.name}' is said to have shape {self.shape}, more than the files hold"
            )
