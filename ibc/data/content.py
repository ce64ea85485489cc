"""What a data set holds, whatever it is called."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ibc.errors import UserError

#: Without instructions of the processor for it, 1.7 times as fast as SHA-256: 0.4 GB a second and thread.
HASH = "blake2b"


def content_digest(path: Path) -> str:
    """A hash of every byte of a file, or of the files of a folder with their names in it.

    Hidden folders are no part of it: kept pictures may lie in one, and what version control and downloads note.

    Raises:
        UserError: a file cannot be read.
    """
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    inside = {file: file.relative_to(path) for file in files}
    shown = [f for f, name in inside.items() if not any(n[0] == "." for n in name.parts[:-1])]
    total = hashlib.new(HASH)
    with ThreadPoolExecutor(2) as pool:
        for file, digest in zip(shown, pool.map(_digest, shown), strict=True):
            name = "" if file == path else inside[file].as_posix()
            total.update(f"{name} {digest}\n".encode())
    return total.hexdigest()


def _digest(file: Path) -> str:
    try:
        with file.open("rb") as content:
            return hashlib.file_digest(content, HASH).hexdigest()
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}") from error
