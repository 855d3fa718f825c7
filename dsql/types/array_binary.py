"""The binary format of arrays (array_send, array_recv)."""

from __future__ import annotations

import struct
from typing import Any

from dsql.errors import SqlError
from dsql.types.array import (
    DIMENSIONS_MAX,
    check_bounds,
    dimensions,
    fold,
    leaves,
    lower_bounds,
    shifted,
    too_many_dimensions,
)
from dsql.types.binary_input import wrong_length
from dsql.types.size import join
from dsql.types.type import Decode, Encode


def binary_encoder(element_oid: int, encode: Encode) -> Encode:
    """Return the encoder of an array's binary format (array_send)."""

    def encode_array(value: list[Any]) -> bytes:
        lengths = dimensions(value)
        elements = leaves(value)
        has_null = any(item is None for item in elements)
        head = struct.pack("!iiI", len(lengths), has_null, element_oid)
        pairs = zip(lengths, lower_bounds(value), strict=True)
        head += b"".join(struct.pack("!ii", *pair) for pair in pairs)
        return head + join(b"", map(element, elements if lengths else []))

    def element(item: Any) -> bytes:
        if item is None:
            return b"\xff\xff\xff\xff"
        data = encode(item)
        return struct.pack("!i", len(data)) + data

    return encode_array


def binary_decoder(element_oid: int, decode: Decode) -> Decode:
    """Return the decoder of an array's binary format. It raises SqlError 08P01, 22P03 or 42804."""

    def decode_array(data: bytes) -> list[Any]:
        try:
            return _decode_binary(data, element_oid, decode)
        except struct.error:
            raise wrong_length(data, len(data) + 1) from None

    return decode_array


def _decode_binary(data: bytes, element_oid: int, decode: Decode) -> list[Any]:
    count, flags, sent_oid = struct.unpack_from("!iiI", data)
    if count < 0:
        raise SqlError("22P03", f"invalid number of dimensions: {count}")
    if count > DIMENSIONS_MAX:
        raise too_many_dimensions(count)
    if flags not in (0, 1):
        raise SqlError("22P03", "invalid array flags")
    if sent_oid != element_oid:
        raise SqlError(
            "42804",
            f"binary data has array element type {sent_oid} instead of expected {element_oid}",
        )
    bounds = [struct.unpack_from("!ii", data, 12 + 8 * axis) for axis in range(count)]
    lengths = [length for length, _ in bounds]
    total = 1 if lengths else 0
    for length in lengths:
        total *= length
    if not 0 <= total * 4 <= len(data):
        raise SqlError("22P03", "invalid array size in binary data")
    position = 12 + 8 * count
    elements: list[Any] = []
    for _ in range(total):
        (size,) = struct.unpack_from("!i", data, position)
        position += 4
        if size < 0:
            elements.append(None)
        elif position + size > len(data):
            raise SqlError("22P03", "insufficient data left in message")
        else:
            elements.append(decode(data[position : position + size]))
            position += size
    if position != len(data):
        raise wrong_length(data, position)
    for length, lower in bounds:
        check_bounds(lower, length)
    return shifted(fold(elements, lengths), [lower for _, lower in bounds])
