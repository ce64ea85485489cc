"""Messages between a robot and a policy server: msgpack maps with a ``type``, arrays as dtype, shape and bytes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Of the messages; client and server with different versions refuse one another. An entry that the other side may
#: ignore or miss, such as the confidence of an action, is no new version.
VERSION = 1
#: Types of numbers that an array may have.
DTYPES = ("bool", "uint8", "int32", "int64", "float16", "float32", "float64")
#: The most dimensions of an array.
MAX_DIMENSIONS = 8


class MessageError(ValueError):
    """A message that cannot be read, or does not hold what it should; one line."""


def encode(message: Mapping[str, Any]) -> bytes:
    """Write a message; arrays may stand anywhere in it.

    Raises:
        MessageError: it holds something that is neither plain nor an array of ``DTYPES``.
    """
    import msgpack

    try:
        packed: bytes = msgpack.packb(message, default=_encode_array)
    except (TypeError, ValueError, OverflowError) as error:
        raise MessageError(f"a message cannot be written: {error}") from error
    return packed


def decode(data: bytes | str) -> dict[str, Any]:
    """Read a message, whose arrays are still ``{dtype, shape, bytes}``; see :func:`array_of`.

    Raises:
        MessageError: it is no msgpack map with a ``type``.
    """
    import msgpack

    if not isinstance(data, bytes):
        raise MessageError("a message is binary; this is text")
    try:
        message = msgpack.unpackb(data)
    except Exception as error:  # damaged bytes fail in many ways
        raise MessageError("a message is damaged: it is not msgpack") from error
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise MessageError("a message is a map with a type")
    return message


def array_of(value: object) -> NDArray[Any]:
    """The array of ``{dtype, shape, bytes}``.

    Raises:
        MessageError: another dtype, or a number of bytes that is not that of the shape.
    """
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "bytes"}:
        raise MessageError("an array is a map of dtype, shape and bytes")
    dtype, shape, data = value["dtype"], value["shape"], value["bytes"]
    if dtype not in DTYPES:
        raise MessageError(f"an array has dtype {dtype!r:.40}; allowed: {', '.join(DTYPES)}")
    is_shape = isinstance(shape, list) and all(type(n) is int and n >= 0 for n in shape)
    if not is_shape or len(shape) > MAX_DIMENSIONS:
        raise MessageError(f"the shape of an array is at most {MAX_DIMENSIONS} numbers")
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if not isinstance(data, bytes) or len(data) != size:
        raise MessageError(f"an array of {dtype} {shape!r:.60} needs {size:.3g} bytes")
    try:
        return np.frombuffer(data, dtype).reshape(shape)
    except (ValueError, OverflowError) as error:  # an empty one, whose other lengths are absurd
        raise MessageError(f"an array of shape {shape!r:.60} cannot be") from error


def confidence_of(message: Mapping[str, Any]) -> float | None:
    """The confidence in [0, 1] that an answer has; None where it has none."""
    value = message.get("confidence")
    return value if isinstance(value, float) and 0 <= value <= 1 else None


def _encode_array(value: object) -> object:
    array = np.asarray(value)
    if array.dtype.name not in DTYPES:
        raise TypeError(f"a {type(value).__name__} is no array of {', '.join(DTYPES)}")
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    return {"dtype": array.dtype.name, "shape": list(array.shape), "bytes": native.tobytes()}
