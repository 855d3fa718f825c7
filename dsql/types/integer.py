"""int2, int4, int8 and the unsigned identifiers (oid, xid, cid, xid8)."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable

from dsql.errors import SqlError
from dsql.types.binary_input import wrong_length
from dsql.types.pg_type import SQL_NAMES, define
from dsql.types.type import Decode

INT2_MIN, INT2_MAX = -(2**15), 2**15 - 1
INT4_MIN, INT4_MAX = -(2**31), 2**31 - 1
INT8_MIN, INT8_MAX = -(2**63), 2**63 - 1

_DIGITS = re.compile(rb"[ \t\n\r\v\f]*[+-]?[0-9]+[ \t\n\r\v\f]*", re.ASCII)
_UNSIGNED = re.compile(rb"\s*([+-]?)(?:0[xX]([0-9a-fA-F]+)|(0[0-7]*)|([1-9][0-9]*))", re.ASCII)
_SPACES = b" \t\n\r\v\f"
_LONGEST_TEXT = 64  # int() of very long digit strings is quadratic; anything longer is out of range


def integer_decoder(sql_name: str, low: int, high: int) -> Decode:
    """Return a text decoder of integers in [low, high]. It raises SqlError 22P02 or 22003."""

    def decode(data: bytes) -> int:
        word = data if len(data) <= _LONGEST_TEXT else data.strip(_SPACES)
        if not word.isdigit() and not _DIGITS.fullmatch(word):
            raise SqlError("22P02", f'invalid input syntax for type {sql_name}: "{data.decode()}"')
        value = int(word[:_LONGEST_TEXT])
        if low <= value <= high:
            return value
        raise SqlError("22003", f'value "{data.decode()}" is out of range for type {sql_name}')

    return decode


def fixed_decoder(layout: str) -> Callable[[bytes], int]:
    """Return a binary decoder for one struct format. It raises SqlError 08P01, 22P03."""
    packed = struct.Struct(layout)
    unpack = packed.unpack

    def decode(data: bytes) -> int:
        try:
            return int(unpack(data)[0])
        except struct.error:
            raise wrong_length(data, packed.size) from None

    return decode


def _define_integer(name: str, layout: str, low: int, high: int) -> None:
    define(
        name,
        encode=lambda value: b"%d" % value,
        decode=integer_decoder(SQL_NAMES.get(name, name), low, high),
        binary_encode=struct.Struct(layout).pack,
        binary_decode=fixed_decoder(layout),
        text_template="b'%d' % {0}",
    )


def _strtoul(data: bytes) -> int:
    """Return what C's strtoul reads, in base 8, 10 or 16: 0 for no number, all ones for too great a one."""
    found = _UNSIGNED.match(data)
    sign, hexadecimal, octal, decimal = found.groups() if found else (b"", None, None, b"0")
    digits, base = (hexadecimal, 16) if hexadecimal else (octal, 8) if octal else (decimal, 10)
    significant = (digits or b"0").lstrip(b"0")
    value = int(significant or b"0", base) if len(significant) <= _LONGEST_TEXT else 2**64
    return 2**64 - 1 if value >= 2**64 else (-value if sign == b"-" else value) % 2**64


def _define_identifier(name: str, layout: str, bits: int) -> None:
    """Unsigned types accept negative spellings and wrap them; those of transactions read any text."""
    signed = integer_decoder(name, -(2 ** (bits - 1)), 2**bits - 1)
    mask = 2**bits - 1
    if name != "oid":
        signed = _strtoul
    define(
        name,
        encode=lambda value: b"%d" % value,
        decode=lambda data: signed(data) & mask,
        binary_encode=struct.Struct(layout).pack,
        binary_decode=fixed_decoder(layout),
        text_template="b'%d' % {0}",
    )


_define_integer("int2", "!h", INT2_MIN, INT2_MAX)
_define_integer("int4", "!i", INT4_MIN, INT4_MAX)
_define_integer("int8", "!q", INT8_MIN, INT8_MAX)
_define_identifier("oid", "!I", 32)
_define_identifier("xid", "!I", 32)
_define_identifier("cid", "!I", 32)
_define_identifier("xid8", "!Q", 64)
