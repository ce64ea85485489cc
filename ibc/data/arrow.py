"""Columns of Arrow and Parquet files as numpy arrays. pyarrow is optional: only data sets that need it ask for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ibc.data.episode import InvalidEpisode
from ibc.errors import UserError


def read_table(path: Path, names: Sequence[str] | None = None) -> Any:
    """A file, ``.arrow`` or ``.parquet``, as a validated ``pyarrow.Table``; of Parquet only the columns ``names``.

    Raises:
        UserError: pyarrow is not installed.
        ValueError, OSError: the file is damaged.
    """
    try:
        import pyarrow as pa
        import pyarrow.ipc
        import pyarrow.parquet
    except ImportError as error:
        raise UserError(f"{path} needs pyarrow: pip install ibc[arrow]") from error
    # Opened here: pyarrow maps files into memory, and one that is shorter than it says would end the program.
    content = pa.BufferReader(path.read_bytes())
    if path.suffix == ".parquet":
        there = pyarrow.parquet.read_schema(content).names
        content.seek(0)
        wanted = None if names is None else [name for name in there if name in names]
        table = pyarrow.parquet.read_table(content, columns=wanted, page_checksum_verification=True)
    else:
        table = pa.ipc.open_file(content).read_all()
    table.validate(full=True)
    return table.combine_chunks()


def column(table: Any, name: str) -> Any:
    """One column as a ``pyarrow.Array``.

    Raises:
        InvalidEpisode: there is no such column.
    """
    if name not in table.column_names:
        raise InvalidEpisode(f"there is no '{name}'; there are {', '.join(table.column_names)}")
    chunked = table.column(name)
    return chunked.chunk(0) if chunked.num_chunks == 1 else chunked.combine_chunks()


def text(array: Any) -> str:
    """The different entries of a column of text, in order."""
    return "; ".join(dict.fromkeys(str(entry) for entry in array.to_pylist() if entry is not None))


def numbers(array: Any, name: str) -> NDArray[Any]:
    """An array of numbers (N,), or of lists of numbers of one length (N, D), (N, D, E), ...

    Raises:
        InvalidEpisode: something else is in it, or entries are missing or of different lengths.
    """
    import pyarrow as pa

    if array.null_count:
        raise InvalidEpisode(f"'{name}' has {array.null_count} entries missing")
    kind = array.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        lengths = np.asarray(array.value_lengths())
        if len(set(lengths.tolist())) > 1:
            raise InvalidEpisode(f"'{name}' has entries of different lengths")
        inner = numbers(array.flatten(), name)
        width = int(lengths[0]) if len(lengths) else 0
        return inner.reshape(len(array), width, *inner.shape[1:])
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        return np.asarray(array.to_numpy(zero_copy_only=False))
    raise InvalidEpisode(f"'{name}' is of type {kind}, expected numbers")
