"""macaddr and macaddr8. A value is its bytes, 6 or 8 of them."""

from __future__ import annotations

import re
from collections.abc import Callable

from dsql.errors import SqlError
from dsql.types.binary_input import wrong_length
from dsql.types.pg_type import define
from dsql.types.string import decode_utf8

# What sscanf finds by macaddr_in's seven forms: blanks before each number, and none behind but blanks.
_ANY = r"\s*((?:0[xX])?[0-9a-fA-F]+)"
_TWO = r"\s*([0-9a-fA-F]{1,2})"
_FORMS = [
    re.compile(form.replace("*", _ANY).replace("2", _TWO) + r"\s*", re.ASCII)
    for form in (
        "*:*:*:*:*:*",
        "*-*-*-*-*-*",
        "222:222",
        "222-222",
        r"22\.22\.22",
        "22-22-22",
        "222222",
    )
]
_PAIRS = re.compile(r"(?:[0-9a-fA-F]{2}[:.-]?)+")
_SEPARATORS = re.compile("[:.-]")


def _bad_text(name: str, text: str) -> SqlError:
    return SqlError("22P02", f'invalid input syntax for type {name}: "{text}"')


def _decode_six(data: bytes) -> bytes:
    text = decode_utf8(data)
    found = next(filter(None, (form.fullmatch(text) for form in _FORMS)), None)
    if found is None:
        raise _bad_text("macaddr", text)
    numbers = [int(part, 16) for part in found.groups()]
    if max(numbers) > 255:
        raise SqlError("22003", f'invalid octet value in "macaddr" value: "{text}"')
    return bytes(numbers)


def to_eight(value: bytes) -> bytes:
    """Return six bytes as eight: FF FE goes in the middle."""
    return value[:3] + b"\xff\xfe" + value[3:]


def _decode_eight(data: bytes) -> bytes:
    text = decode_utf8(data)
    digits = text.strip(" \t\n\v\f\r")
    separators = set(_SEPARATORS.findall(digits))
    if not _PAIRS.fullmatch(digits) or len(separators) > 1:
        raise _bad_text("macaddr8", text)
    value = bytes.fromhex(_SEPARATORS.sub("", digits))
    if len(value) not in (6, 8):
        raise _bad_text("macaddr8", text)
    return to_eight(value) if len(value) == 6 else value


def _sized(size: int) -> Callable[[bytes], bytes]:
    def receive(data: bytes) -> bytes:
        if len(data) == size:
            return data
        if size == 8 and len(data) == 6:
            return to_eight(data)
        raise wrong_length(data, size)

    return receive


for _name, _size, _decode in (("macaddr", 6, _decode_six), ("macaddr8", 8, _decode_eight)):
    define(
        _name,
        encode=lambda value: value.hex(":").encode(),
        decode=_decode,
        binary_encode=bytes,
        binary_decode=_sized(_size),
    )
