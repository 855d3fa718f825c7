"""The functions behind hash indexes: hashint4, hashtext, hash_record and their kin, and those with a seed.

Their values are PostgreSQL's own on a machine with little-endian numbers, so what was chosen by hashtext, a
shard say, is chosen again. An enum's value is its place, so its hash is one of that: its own value differs.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from dsql.errors import SqlError
from dsql.functions.definition import Row, define, rows_named
from dsql.functions.hash_bytes import (
    HALF,
    hash_bytes,
    hash_bytes_extended,
    hash_number,
    hash_number_extended,
    rotated,
    rotated_halves,
)
from dsql.types import interval, oids, registry
from dsql.types.array import leaves
from dsql.types.network import encode_inet
from dsql.types.range import IS_EMPTY, LOWER_INFINITE, UPPER_INFINITE, Multirange, Range
from dsql.types.record import Record

# The hash of a value: 64 bits with a seed, 32 bits without one (None).
Seeded = Callable[[Any, "int | None"], int]
_WHOLE = 2**64 - 1
_BASE_DIGITS = 4  # of numeric, whose base is 10,000


def _bytes(data: bytes, seed: int | None) -> int:
    return hash_bytes(data) if seed is None else hash_bytes_extended(data, seed)


def _number(value: int, seed: int | None) -> int:
    return hash_number(value) if seed is None else hash_number_extended(value, seed)


def _bigint(value: int, seed: int | None) -> int:
    """Hash 64 bits so that numbers that fit into fewer hash alike in any integer type."""
    low, high = value & HALF, value >> 32 & HALF
    return _number(low ^ (high if value >= 0 else ~high & HALF), seed)


def _float(value: float, seed: int | None) -> int:
    if value == 0:
        return seed or 0
    return _bytes(struct.pack("<d", value if value == value else float("nan")), seed)


def _numeric(value: Decimal, seed: int | None) -> int:
    """Hash the digits of base 10,000 without zeros at either end, and the weight of the first."""
    if not value.is_finite():
        return seed or 0
    if not value:
        return (-1 if seed is None else seed - 1) & (HALF if seed is None else _WHOLE)
    _, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    text = "".join(map(str, digits)) + "0" * (exponent % _BASE_DIGITS)
    exponent -= exponent % _BASE_DIGITS
    text = text.zfill(-(-len(text) // _BASE_DIGITS) * _BASE_DIGITS)
    groups = [int(text[at : at + _BASE_DIGITS]) for at in range(0, len(text), _BASE_DIGITS)]
    weight = len(groups) - 1 + exponent // _BASE_DIGITS
    while not groups[0]:
        groups.pop(0)
        weight -= 1
    while not groups[-1]:
        groups.pop()
    hashed = _bytes(struct.pack(f"<{len(groups)}H", *groups), seed)
    return (hashed ^ weight) & (HALF if seed is None else _WHOLE)


def _timetz(value: tuple[int, int], seed: int | None) -> int:
    return _bigint(value[0], seed) ^ _number(value[1], seed)


def _interval(value: tuple[int, int, int], seed: int | None) -> int:
    span = interval.span(value)
    low = span & _WHOLE
    return _bigint(low - (1 << 64) if low >> 63 else low, seed)


def _inet(value: str, seed: int | None) -> int:
    family, prefix, _, _, *address = encode_inet(value)
    return _bytes(bytes((family, prefix, *address)), seed)


def _tid(value: tuple[int, int], seed: int | None) -> int:
    return _bytes(struct.pack("<HHH", value[0] >> 16, value[0] & 0xFFFF, value[1]), seed)


def _text(value: str, seed: int | None) -> int:
    return _bytes(value.encode(), seed)


def _char(value: str, seed: int | None) -> int:
    byte = value.encode()[:1] or b"\0"
    return _number(byte[0] - 256 if byte[0] > 127 else byte[0], seed)


_HASHES: dict[int, Seeded] = {
    **dict.fromkeys((oids.INT2, oids.INT4, oids.OID, oids.DATE, oids.BOOL), _number),
    **dict.fromkeys(
        (oids.INT8, oids.TIME, oids.TIMESTAMP, oids.TIMESTAMPTZ, oids.PG_LSN, oids.XID8), _bigint
    ),
    **dict.fromkeys((oids.FLOAT4, oids.FLOAT8), _float),
    **dict.fromkeys((oids.TEXT, oids.VARCHAR, oids.NAME), _text),
    **dict.fromkeys((oids.BYTEA, oids.UUID), _bytes),
    oids.BPCHAR: lambda value, seed: _text(value.rstrip(" "), seed),
    oids.CHAR: _char,
    oids.NUMERIC: _numeric,
    oids.TIMETZ: _timetz,
    oids.INTERVAL: _interval,
    oids.INET: _inet,
    oids.MACADDR: _bytes,
    oids.MACADDR8: _bytes,
    oids.TID: _tid,
    oids.OIDVECTOR: lambda value, seed: _bytes(struct.pack(f"<{len(value)}I", *value), seed),
}


def hash_of(oid: int) -> Seeded:
    """Return the hash of a type's values. Raises SqlError 42883 for a type without one."""
    found = _HASHES.get(oid)
    if found is not None:
        return found
    kind = registry.get(oid)
    if kind.kind == "e":
        return _float
    if registry.is_composite(oid):
        return _record
    if kind.kind == "r":
        return _of_range(kind.subtype_oid)
    if kind.kind == "m":
        return _of_multirange(registry.get(kind.subtype_oid).subtype_oid)
    if kind.element_oid:
        return _of_array(kind.element_oid)
    message = f"could not identify a hash function for type {kind.sql_name}"
    raise SqlError("42883", message)


def _combined(start: int, hashes: list[int], seed: int | None) -> int:
    """Return start, times 31 plus each of some hashes in turn."""
    bits = HALF if seed is None else _WHOLE
    for each in hashes:
        start = start * 31 + each & bits
    return start


def _of_array(element_oid: int) -> Seeded:
    element = hash_of(element_oid)
    return lambda value, seed: _combined(
        1, [0 if item is None else element(item, seed) for item in leaves(value)], seed
    )


def _record(value: Record, seed: int | None) -> int:
    pairs = zip(value.oids, value, strict=True)
    hashes = [0 if item is None else hash_of(oid)(item, seed) for oid, item in pairs]
    return _combined(0, hashes, seed)


def _of_range(subtype: int) -> Seeded:
    bound = hash_of(subtype)

    def hashed(value: Range, seed: int | None) -> int:
        lower, upper, flags = value
        low = 0 if flags & (IS_EMPTY | LOWER_INFINITE) else bound(lower, seed)
        high = 0 if flags & (IS_EMPTY | UPPER_INFINITE) else bound(upper, seed)
        whole = _number(flags, seed) ^ low
        return (rotated(whole, 1) if seed is None else rotated_halves(whole)) ^ high

    return hashed


def _of_multirange(subtype: int) -> Seeded:
    each = _of_range(subtype)

    def hashed(value: Multirange, seed: int | None) -> int:
        return _combined(1, [each(held, seed) for held in value], seed)

    return hashed


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> bits - 1 else value


def _plain(oid: int) -> Callable[[Any], int]:
    hashed = hash_of(oid)
    return lambda value: _signed(hashed(value, None), 32)


def _extended(oid: int, _seed: int) -> Callable[[Any, int], int]:
    hashed = hash_of(oid)
    return lambda value, seed: _signed(hashed(value, seed & _WHOLE), 64)


_POLYMORPHIC = (oids.ANYARRAY, oids.ANYENUM, oids.ANYRANGE, oids.ANYMULTIRANGE)


def _define(row: Row) -> None:
    make: Callable[..., Any] = _plain if len(row.argument_types) == 1 else _extended
    if row.argument_types[0] in _POLYMORPHIC:
        define(row.key, typed=make)
    else:
        define(row.key, make(*row.argument_types))


_NAMED = re.compile(r"hash(?!varlena)\w+|(?:timestamp|time|timetz|interval|uuid|pg_lsn)_hash\w*")
for _row in rows_named(_NAMED):
    _define(_row)
