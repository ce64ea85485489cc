"""Pictures that stay in their file, compressed, until a training batch asks for them."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ibc.data.episode import Frames, InvalidEpisode
from ibc.data.hdf5 import is_lost, pieces
from ibc.errors import UserError


class StoredFrames(Frames):
    """Frames (N, H, W, C) uint8 of one episode in an HDF5 file, each compressed by itself.

    Indexing reads what is asked for and nothing else; a slice is another view of the file. That all frames are there
    is checked at once, that they are whole when they are read.

    Args:
        node: the array in its file, which is opened again when something is read.

    Raises:
        InvalidEpisode: the file does not hold as many frames as its header says.
    """

    def __init__(self, node: h5py.Dataset) -> None:
        self.path, self.name = Path(node.file.filename), str(node.name)
        self._identity = _identity(self.path)
        super().__init__(node.shape)
        corners = {(step, 0, 0, 0) for step in self._steps}
        if set(pieces(node)) != corners:
            raise InvalidEpisode(f"'{self.name}' is incomplete")

    @staticmethod
    def can_hold(node: object) -> bool:
        """Whether an array in a file is of pictures with a piece of the file for each."""
        return (
            isinstance(node, h5py.Dataset)
            and node.dtype == np.uint8
            and node.ndim == 4
            and node.chunks == (1, *node.shape[1:])
            and node.compression is not None
        )

    def _read(self, key: int | NDArray[np.int64]) -> NDArray[np.uint8]:
        """See :class:`Frames`.

        Raises:
            UserError: a frame is damaged, or the file is gone, or another one.
        """
        if isinstance(key, np.ndarray):
            flat = [self._frame(self._steps[int(step)]) for step in key.ravel()]
            return np.stack(flat).reshape(*key.shape, *self.shape[1:])
        return self._frame(self._steps[key])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """All of them, in memory."""
        return np.stack([self._frame(step) for step in self._steps]).astype(dtype or self.dtype)

    def _frame(self, step: int) -> NDArray[np.uint8]:
        try:
            node = _node(self.path, self._identity, self.name)
            frame: NDArray[np.uint8] = node[step]
        except (OSError, KeyError, ValueError) as error:
            raise UserError(f"{self.path}: frame {step} of {self.name} cannot be read") from error
        corner = (step, 0, 0, 0)
        if not frame.any() and is_lost(node, corner, node.id.get_chunk_info_by_coord(corner).size):
            raise UserError(f"{self.path}: frame {step} of {self.name} is lost")
        return frame


def _identity(path: Path) -> tuple[int, int]:
    """Which file there is at a path: one that is put into its place is another."""
    found = path.stat()
    return found.st_dev, found.st_ino


@lru_cache(maxsize=4)
def _file(path: Path, identity: tuple[int, int]) -> h5py.File:
    if _identity(path) != identity:
        raise UserError(f"{path} has been replaced since its episodes were read")
    return h5py.File(
        path, "r", rdcc_nbytes=0
    )  # a megabyte of cache an episode is much for thousands


@lru_cache(maxsize=4096)
def _node(path: Path, identity: tuple[int, int], name: str) -> h5py.Dataset:
    return _file(path, identity)[name]
