"""bool: t and f as text, one byte in binary."""

from __future__ import annotations

from dsql.errors import SqlError
from dsql.types.binary_input import wrong_length
from dsql.types.pg_type import define
from dsql.types.string import decode_utf8

_WORDS = {"true": True, "false": False, "yes": True, "no": False, "on": True, "off": False}
_WORDS |= {"1": True, "0": False}
# PostgreSQL takes every unambiguous prefix: t, tr, y, of, ... but not a bare "o".
_SPELLINGS = {
    word[:length]: value
    for word, value in _WORDS.items()
    for length in range(2 if word in ("on", "off") else 1, len(word) + 1)
}


def decode_text(data: bytes) -> bool:
    """Read a boolean in any of PostgreSQL's spellings. Raises SqlError 22P02."""
    text = decode_utf8(data)
    value = _SPELLINGS.get(text.strip(" \t\n\r\v\f").lower())
    if value is None:
        raise SqlError("22P02", f'invalid input syntax for type boolean: "{text}"')
    return value


def _decode_binary(data: bytes) -> bool:
    if len(data) != 1:
        raise wrong_length(data, 1)
    return data != b"\0"


define(
    "bool",
    encode=lambda value: b"t" if value else b"f",
    decode=decode_text,
    binary_encode=lambda value: b"\x01" if value else b"\x00",
    binary_decode=_decode_binary,
    text_template="(b't' if {0} else b'f')",
)
