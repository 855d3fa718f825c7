"""bit and varbit. A value is a str of "0" and "1": it has the order, the equality and the text of the type.

PostgreSQL compares bytes, padded with zeros, and then lengths; that is the order of the digits, since a
prefix comes first in both.
"""

from __future__ import annotations

import re
import struct

from dsql.errors import SqlError
from dsql.types.pg_type import define
from dsql.types.size import check_size
from dsql.types.string import decode_utf8

_NOT_BINARY = re.compile("[^01]")
_NOT_HEXADECIMAL = re.compile("[^0-9a-fA-F]")
_LENGTH = struct.Struct("!i")


def read_bits(text: str) -> str:
    """Read bit_in's text: "101", "b101" or "xFF". Raises SqlError 22P02, 54000."""
    if text[:1] in ("x", "X"):
        digits = text[1:]
        if bad := _NOT_HEXADECIMAL.search(digits):
            raise SqlError("22P02", f'"{bad[0]}" is not a valid hexadecimal digit')
        check_size(4 * len(digits))
        return f"{int(digits, 16):0{4 * len(digits)}b}" if digits else ""
    digits = text[1:] if text[:1] in ("b", "B") else text
    if bad := _NOT_BINARY.search(digits):
        raise SqlError("22P02", f'"{bad[0]}" is not a valid binary digit')
    return digits


def padded_bytes(value: str) -> bytes:
    """Return the bits as bytes, the last one filled with zeros."""
    count = (len(value) + 7) // 8
    return int(value.ljust(8 * count, "0") or "0", 2).to_bytes(count, "big")


def _to_binary(value: str) -> bytes:
    return _LENGTH.pack(len(value)) + padded_bytes(value)


def _from_binary(data: bytes) -> str:
    length = _LENGTH.unpack_from(data)[0] if len(data) >= _LENGTH.size else -1
    if length < 0:
        raise SqlError("22P03", "invalid length in external bit string")
    count = (length + 7) // 8
    if len(data) - _LENGTH.size < count:
        raise SqlError("08P01", "insufficient data left in message")
    if len(data) - _LENGTH.size > count:
        raise SqlError("22P03", "incorrect binary data format")
    return f"{int.from_bytes(data[_LENGTH.size :], 'big'):0{8 * count}b}"[:length] if count else ""


for _name in ("bit", "varbit"):
    define(
        _name,
        encode=str.encode,
        decode=lambda data: read_bits(decode_utf8(data)),
        binary_encode=_to_binary,
        binary_decode=_from_binary,
        text_template="{0}.encode()",
    )
