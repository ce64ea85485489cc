"""Damaged data in one line, whichever library has found the damage."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ibc.data.episode import InvalidEpisode
from ibc.errors import UserError

#: What libraries raise on files that are not what they should be.
DAMAGE = (
    OSError,
    EOFError,
    KeyError,
    ValueError,
    TypeError,
    IndexError,
    AttributeError,
    RuntimeError,
    MemoryError,
    ArithmeticError,
    AssertionError,
    zipfile.BadZipFile,
    zlib.error,
)

#: How a file begins that Git LFS has left in place of the one it stands for.
LFS = b"version https://git-lfs.github.com/spec/"
#: How pickles of any protocol in use begin.
PICKLES = tuple(bytes([0x80, protocol]) for protocol in range(2, 6))
#: Smaller files are looked at for that.
LFS_SIZE = 1024


@contextmanager
def in_one_line(path: Path, where: Callable[[], str]) -> Iterator[None]:
    """Turn what goes wrong with the data at ``path`` into a UserError; ``where`` says which part was read.

    Raises:
        UserError: the data cannot be read.
    """
    try:
        yield
    except InvalidEpisode as error:
        raise UserError(_why(path, f"{path}, {where()}: {error}")) from error
    except DAMAGE as error:
        missing = type(error) is KeyError and len(error.args) == 1
        reason = f"there is no {error}" if missing else " ".join(str(error).split())
        raise UserError(_why(path, f"{path}, {where()}: cannot be read ({reason})")) from error


def _why(path: Path, otherwise: str) -> str:
    return what_it_is(path) or otherwise


def what_it_is(path: Path) -> str | None:
    """What is at ``path`` in place of data, in words, where that can be told."""
    pointer = _lfs_pointer(path)
    if pointer is not None:
        return f"{pointer} is a pointer of Git LFS, not the file itself; get it by 'git lfs pull'"
    if path.is_file():
        with path.open("rb") as file:
            if file.read(2) in PICKLES:
                return (
                    f"{path} is a pickle, which may run any code and is never loaded; "
                    "store its arrays as .npz"
                )
    return None


def _lfs_pointer(path: Path) -> Path | None:
    """The first file at or below ``path`` that is not there itself, but as a pointer."""
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    for file in files:
        try:
            if file.stat().st_size < LFS_SIZE and file.read_bytes().startswith(LFS):
                return file
        except OSError:
            continue
    return None
