"""jsonpath as a type. A value is its text as PostgreSQL prints it; `parse` makes the tree of it."""

from __future__ import annotations

from dsql.errors import SqlError
from dsql.types.jsonpath.parser import parse
from dsql.types.jsonpath.printer import print_path
from dsql.types.pg_type import define
from dsql.types.string import decode_utf8


def _decode(data: bytes) -> str:
    return print_path(parse(decode_utf8(data)))


def _decode_binary(data: bytes) -> str:
    if not data:
        raise SqlError("08P01", "insufficient data left in message")
    if data[:1] != b"\x01":
        raise SqlError("XX000", f"unsupported jsonpath version number: {data[0]}")
    return _decode(data[1:])


define(
    "jsonpath",
    encode=str.encode,
    decode=_decode,
    binary_encode=lambda value: b"\x01" + value.encode(),
    binary_decode=_decode_binary,
    text_template="{0}.encode()",
)
