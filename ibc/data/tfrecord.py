"""TFRecord files and ``tf.train.Example`` messages, without TensorFlow.

The file is a sequence of records: length (uint64), its checksum, content, its checksum, all little-endian. Checksums
are CRC-32C, rotated and offset (TensorFlow, ``core/lib/io/record_writer``). The content is a protocol buffer: Example
{features = 1}, Features {map feature = 1}, Feature {bytes_list = 1, float_list = 2, int64_list = 3}, each of the lists
{value = 1}.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

#: A feature's values: the byte strings, float32 or int64 of its list.
Feature = list[bytes] | NDArray[np.float32] | NDArray[np.int64]

_POLYNOMIAL = 0x82F63B78
_MASK_DELTA = 0xA282EAD8
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def _crc_table() -> list[int]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ (_POLYNOMIAL if crc & 1 else 0)
        table.append(crc)
    return table


_TABLE = _crc_table()


def _crc32c(data: bytes) -> int:
    try:  # a hundred times as fast, where it is installed
        import google_crc32c
    except ImportError:
        crc = 0xFFFFFFFF
        for byte in data:
            crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
        return crc ^ 0xFFFFFFFF
    return int(google_crc32c.value(data))


def masked_crc32c(data: bytes) -> int:
    """The checksum of the format."""
    crc = _crc32c(data)
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF


def records(path: Path) -> Iterator[bytes]:
    """The contents of all records.

    Raises:
        ValueError: a checksum is wrong, or the file ends within a record.
    """
    with path.open("rb") as file:
        number = 0
        while header := file.read(12):
            if len(header) < 12 or masked_crc32c(header[:8]) != _uint32(header[8:]):
                raise ValueError(f"{path.name}, record {number}: the header is damaged")
            (length,) = struct.unpack("<Q", header[:8])
            if length > path.stat().st_size:
                raise ValueError(f"{path.name}, record {number}: longer than the file")
            body = file.read(length + 4)
            if len(body) < length + 4 or masked_crc32c(body[:-4]) != _uint32(body[-4:]):
                raise ValueError(f"{path.name}, record {number}: the content is damaged")
            yield body[:-4]
            number += 1


def parse_example(message: bytes) -> dict[str, Feature]:
    """The features of one Example by name.

    Raises:
        ValueError: it is not such a message.
    """
    features: dict[str, Feature] = {}
    for number, block in _fields(message):
        if number != 1:
            continue
        for _, entry in _fields(block):
            parts = dict(_fields(entry))
            features[parts[1].decode()] = _feature(parts.get(2, b""))
    return features


def _feature(message: bytes) -> Feature:
    kind, content = next(_fields(message), (1, b""))
    values = [value for number, value in _fields(content) if number == 1]
    if kind == 1:
        return values
    joined = b"".join(values)
    if kind == 2:
        return np.frombuffer(joined, dtype="<f4").astype(np.float32)
    integers = []
    position = 0
    while position < len(joined):
        value, position = _varint(joined, position)
        integers.append(value - (value >> 63 << 64))
    return np.array(integers, dtype=np.int64)


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and raw content of each field; lists of numbers may come packed into one or field by field."""
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        start = position
        if tag & 7 == _VARINT:
            _, position = _varint(message, position)
        elif tag & 7 in (_FIXED32, _FIXED64):
            position += 4 if tag & 7 == _FIXED32 else 8
        elif tag & 7 == _BYTES:
            length, start = _varint(message, position)
            position = start + length
        else:
            raise ValueError(f"protocol buffer with wire type {tag & 7}")
        if position > len(message):
            raise ValueError("protocol buffer ends within a field")
        yield tag >> 3, message[start:position]


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ValueError("protocol buffer with a number of more than ten bytes")


def _uint32(data: bytes) -> int:
    return int.from_bytes(data, "little")
