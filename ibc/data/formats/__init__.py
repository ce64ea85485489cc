"""Readers of demonstration formats, one module each: ``can_read(path)`` and ``read(path, request)``.

A module put into this folder is found by itself.
"""

from __future__ import annotations

import importlib
import itertools
import pkgutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol, cast, runtime_checkable

import h5py
import numpy as np

from ibc.data.damage import in_one_line, what_it_is
from ibc.data.episode import Episode, Frames, InvalidEpisode
from ibc.data.request import Request
from ibc.errors import UserError

#: Larger numbers are not data in any unit, but a damaged exponent.
LARGEST = 1e12
#: Names of an unknown file that a message has.
MOST_NAMES = 5


@runtime_checkable
class Reader(Protocol):
    """What a module in this folder offers."""

    def can_read(self, path: Path) -> bool:
        """Whether the path is of this format, by a quick look."""
        ...

    def read(self, path: Path, request: Request) -> Iterator[Episode]:
        """All episodes, in order, with what is wanted of each."""
        ...


def readers() -> dict[str, Reader]:
    """Every reader by its module's name."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return {n: cast(Reader, importlib.import_module(f"{__name__}.{n}")) for n in names}


def find_reader(path: Path) -> tuple[str, Reader]:
    """The reader that knows the format, with its name.

    Raises:
        UserError: nothing is there, or no reader knows the format.
    """
    if not path.exists():
        raise UserError(f"no demonstrations at {path}")
    for name, reader in readers().items():
        if reader.can_read(path):
            return name, reader
    raise UserError(_unknown(path))


def read_episodes(path: Path, request: Request | None = None) -> Iterator[Episode]:
    """All episodes of a data set in any of the known formats; pictures are decoded when they are read.

    Args:
        path: a file or folder.
        request: what is wanted of it; everything if None.

    Raises:
        UserError: nothing is there, no reader knows the format, something wanted is missing, or the data is damaged.
    """
    number = 0
    with in_one_line(path, lambda: f"episode {number}"):
        name, reader = find_reader(path)
        request = Request() if request is None else request
        if request.episode_length is not None and name != "d4rl":
            raise UserError(f"episode_length is for D4RL files; {path} says where episodes end")
        for episode in reader.read(path, request):
            _check_magnitude(episode)
            yield _cut(episode, request)
            number += 1
    if number == 0:
        raise UserError(f"{path} holds no episodes")


def _cut(episode: Episode, request: Request) -> Episode:
    """The episode with the entries of its vectors that are wanted."""
    if not request.entries:
        return episode
    frames = [n for n, a in episode.obs.items() if n in request.entries and isinstance(a, Frames)]
    if frames:
        raise UserError(f"data.rename: {frames[0]} has pictures, of which data.crop takes a part")
    obs = {
        name: request.cut(name, array) if isinstance(array, np.ndarray) else array
        for name, array in episode.obs.items()
    }
    return replace(episode, obs=obs, action=request.cut("action", episode.action))


def _unknown(path: Path) -> str:
    """Why nothing reads it, where that can be told."""
    if known := what_it_is(path):
        return known
    if (path / "meta").is_dir():
        return f"{path / 'meta'} has no info.json, which LeRobot's layout begins with"
    found = f" ({', '.join(names)})" if (names := _names(path)) else ""
    return f"{path}{found} is in none of the formats known: {', '.join(readers())}"


def _names(path: Path) -> list[str]:
    """The first names in an HDF5 file, for a message."""
    if not path.is_file() or not h5py.is_hdf5(path):
        return []
    with h5py.File(path, "r") as file:
        names = [*itertools.islice(file, MOST_NAMES + 1)]
    return [*names[:MOST_NAMES], *["..."][: len(names) - MOST_NAMES]]


def _check_magnitude(episode: Episode) -> None:
    for name, array in {"action": episode.action, "reward": episode.reward, **episode.obs}.items():
        small = not isinstance(array, np.ndarray) or array.dtype != np.float32 or not array.size
        if not small and float(np.abs(array).max()) > LARGEST:
            raise InvalidEpisode(f"{name} holds a number above {LARGEST:.0e}")
