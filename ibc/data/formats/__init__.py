"""Readers of demonstration formats, one module each: ``can_read(path)`` and ``read(path)``.

A module put into this folder is found by itself.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, cast, runtime_checkable

import numpy as np

from ibc.data.episode import Episode, InvalidEpisode
from ibc.data.formats import d4rl
from ibc.errors import UserError

#: Larger numbers are not data in any unit, but a damaged exponent.
LARGEST = 1e12


@runtime_checkable
class Reader(Protocol):
    """What a module in this folder offers."""

    def can_read(self, path: Path) -> bool:
        """Whether the path is of this format, by a quick look."""
        ...

    def read(self, path: Path) -> Iterator[Episode]:
        """All episodes, in order."""
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
    raise UserError(f"{path} is in none of the formats known: {', '.join(readers())}")


def read_episodes(path: Path, *, episode_length: int | None = None) -> Iterator[Episode]:
    """All episodes of a data set in any of the known formats.

    Args:
        path: a file or folder.
        episode_length: steps after which episodes ended, for D4RL files that do not tell (see its reader).

    Raises:
        UserError: nothing is there, no reader knows the format, or the data is damaged.
    """
    number = 0
    try:
        _, reader = find_reader(path)
        cut = episode_length is not None and reader is d4rl
        for episode in d4rl.read(path, episode_length=episode_length) if cut else reader.read(path):
            _check_magnitude(episode)
            yield episode
            number += 1
    except InvalidEpisode as error:
        raise UserError(f"{path}, episode {number}: {error}") from error
    except (
        OSError,
        KeyError,
        ValueError,
        TypeError,
        IndexError,
        AttributeError,
        RuntimeError,
        MemoryError,
        ArithmeticError,
        AssertionError,
    ) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path}, episode {number}: cannot be read ({reason})") from error
    if number == 0:
        raise UserError(f"{path} holds no episodes")


def _check_magnitude(episode: Episode) -> None:
    for name, array in {"action": episode.action, "reward": episode.reward, **episode.obs}.items():
        small = not isinstance(array, np.ndarray) or array.dtype != np.float32 or not array.size
        if not small and float(np.abs(array).max()) > LARGEST:
            raise InvalidEpisode(f"{name} holds a number above {LARGEST:.0e}")
