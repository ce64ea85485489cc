"""What a data set holds, whatever it is called."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ibc.errors import UserError

#: Without instructions of the processor for it, 1.7 times as fast as SHA-256: 0.4 GB a second and thread.
HASH = "blake2b"
#: Files that file managers leave in folders which they show.
LEFT_BEHIND = (".DS_Store", ".directory", "Thumbs.db", "desktop.ini")


def content_digest(path: Path) -> str:
    """A hash of every byte of a file, or of the files of a folder with their names in it.

    Folders that are links are part of it, as readers go through them. Hidden folders are not, nor what file
    managers leave: kept pictures may lie in one, and what version control and downloads note.

    Raises:
        UserError: a file cannot be read.
    """
    shown = [path] if path.is_file() else sorted(_files(path))
    total = hashlib.new(HASH)
    with ThreadPoolExecutor(2) as pool:
        for file, digest in zip(shown, pool.map(_digest, shown), strict=True):
            name = "" if file == path else file.relative_to(path).as_posix()
            total.update(f"{name} {digest}\n".encode())
    return total.hexdigest()


def _files(path: Path) -> Iterator[Path]:
    """The files below a folder, but for those in hidden folders and in links to a folder around them."""
    for name, folders, files in os.walk(path, followlinks=True):
        folder = Path(name)
        here = folder.resolve()
        folders[:] = [
            f for f in folders if f[0] != "." and not here.is_relative_to((folder / f).resolve())
        ]
        shown = (folder / file for file in files if file not in LEFT_BEHIND)
        yield from (file for file in shown if file.is_file())


def _digest(file: Path) -> str:
    try:
        with file.open("rb") as content:
            return hashlib.file_digest(content, HASH).hexdigest()
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}") from error
