"""Character types: text, varchar, bpchar, name, "char", unknown, cstring. Order is by code point (C)."""

from __future__ import annotations

from dsql.errors import SqlError
from dsql.limits import truncate_identifier
from dsql.types.binary_input import wrong_length
from dsql.types.pg_type import define


def decode_utf8(data: bytes) -> str:
    """Return the string. Raises SqlError 22021 for bytes that are not UTF-8, or a zero byte."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        spoiled = " ".join(f"0x{byte:02x}" for byte in data[error.start : error.start + 3])
        raise SqlError("22021", f'invalid byte sequence for encoding "UTF8": {spoiled}') from None
    if "\0" in text:
        raise SqlError("22021", 'invalid byte sequence for encoding "UTF8": 0x00')
    return text


def _encode_char(value: str) -> bytes:
    """Write a "char": one byte, those above 127 as a backslash and octal digits."""
    if value and ord(value) > 127:
        return b"\\%03o" % ord(value)
    return value.encode()


def _decode_char(data: bytes) -> str:
    if len(data) == 4 and data[:1] == b"\\" and data[1:].isdigit():
        code = int(data[1:], 8) & 0xFF
        return chr(code) if code else ""
    return chr(data[0]) if data and data[0] else ""


for _name in ("text", "varchar", "unknown", "cstring"):
    define(
        _name,
        encode=str.encode,
        decode=decode_utf8,
        binary_encode=str.encode,
        binary_decode=decode_utf8,
        text_template="{0}.encode()",
    )

define(
    "bpchar",
    encode=str.encode,
    decode=decode_utf8,
    binary_encode=str.encode,
    binary_decode=decode_utf8,
    text_template="{0}.encode()",
    sort_key=lambda value: value.rstrip(" "),
    hash_key=lambda value: value.rstrip(" "),
)
define(
    "name",
    encode=str.encode,
    decode=lambda data: truncate_identifier(decode_utf8(data)),
    binary_encode=str.encode,
    binary_decode=lambda data: truncate_identifier(decode_utf8(data)),
    text_template="{0}.encode()",
)


def _decode_char_binary(data: bytes) -> str:
    if len(data) != 1:
        raise wrong_length(data, 1)
    return "" if data == b"\0" else data.decode("latin-1")


define(
    "char",
    encode=_encode_char,
    decode=_decode_char,
    binary_encode=lambda value: value.encode("latin-1") or b"\0",
    binary_decode=_decode_char_binary,
)
