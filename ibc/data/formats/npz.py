"""Arrays in ``.npz`` files of numpy, one's own recordings for example: a file an episode, or one file with all of them.

An array ``action`` or ``actions`` has a row a step. Every other array with as many rows, or one more, is an observation
by its name, but for ``reward``, ``success``, ``terminated``, ``truncated`` and ``episode_ends``; arrays of text are the
episode's text. ``episode_ends`` has the number of the row after each episode, as zarr replay buffers have it.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ibc.data.episode import Episode, InvalidEpisode
from ibc.data.replay import ReplayArray, read_replay
from ibc.data.request import Request

ENDS = "episode_ends"
#: Rows that are read at once.
ROWS = 16


def can_read(path: Path) -> bool:
    """An ``.npz`` file, or a folder of them."""
    return bool(_files(path))


def read(path: Path, request: Request) -> Iterator[Episode]:
    """Every episode, file by file in the order of their names.

    Raises:
        UserError: an array holds Python objects, or there are no actions.
    """
    for file in _files(path):
        with zipfile.ZipFile(file) as opened:
            names = [n.removesuffix(".npy") for n in opened.namelist() if n.endswith(".npy")]
            arrays = {name: _Member(file, opened, name) for name in names}
            ends = arrays.pop(ENDS).load() if ENDS in arrays else None
            yield from read_replay(path, arrays, ends, request)


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(one for one in path.glob("*.npz") if one.is_file())
    return [path] if path.is_file() and path.suffix == ".npz" else []


class _Member(ReplayArray):
    """An array of a file, which is read from its first row to its last."""

    def __init__(self, file: Path, opened: zipfile.ZipFile, name: str) -> None:
        self.file, self.name = file, name
        with opened.open(f"{name}.npy") as content:
            self.shape, self._is_by_columns, self.dtype = _header(content)
        self._size = opened.getinfo(f"{name}.npy").file_size

    def _check(self) -> None:
        if self.dtype.hasobject:
            raise InvalidEpisode(
                f"'{self.name}' holds Python objects, a pickle, which may run any code and is never loaded; "
                "leave it out by data.obs_names"
            )
        if math.prod(self.shape) * self.dtype.itemsize > self._size:
            raise InvalidEpisode(
                f"'{self.name}' is said to have shape {self.shape}, more than the file holds"
            )

    def load(self, *, filled: bool = False) -> NDArray[Any]:
        self._check()
        with np.load(self.file, allow_pickle=False) as arrays:
            return np.asarray(arrays[self.name])

    def rows(self) -> Iterator[NDArray[Any]]:
        self._check()
        if self._is_by_columns and len(self.shape) > 1:
            raise InvalidEpisode(
                f"'{self.name}' is stored column by column; store np.ascontiguousarray of it"
            )
        size = int(np.prod(self.shape[1:])) * self.dtype.itemsize
        with zipfile.ZipFile(self.file) as opened, opened.open(f"{self.name}.npy") as content:
            _header(content)
            for start in range(0, self.shape[0], ROWS):
                count = min(ROWS, self.shape[0] - start)
                block = content.read(count * size)
                yield from np.frombuffer(block, self.dtype).reshape(count, *self.shape[1:])


def _header(content: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(content)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(content)
    return np.lib.format.read_array_header_2_0(content)
