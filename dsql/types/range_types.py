"""Range and multirange types: those of the system, and what makes one over any type."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import dsql.types.integer
import dsql.types.numeric
import dsql.types.temporal  # noqa: F401  (what the ranges of the system are over)
from dsql.errors import SqlError
from dsql.types import calendar, oids, registry
from dsql.types.binary_input import wrong_length
from dsql.types.pg_type import array_of
from dsql.types.range import (
    IS_EMPTY,
    LOWER_INCLUSIVE,
    LOWER_INFINITE,
    UPPER_INCLUSIVE,
    UPPER_INFINITE,
    Bounds,
    Multirange,
    Range,
)
from dsql.types.range_text import (
    multirange_decoder,
    multirange_encoder,
    range_decoder,
    range_encoder,
)
from dsql.types.size import join
from dsql.types.type import Decode, Encode, Type

_LENGTH = struct.Struct("!i")
_COUNT = struct.Struct("!I")
_KNOWN_FLAGS = IS_EMPTY | LOWER_INCLUSIVE | UPPER_INCLUSIVE | LOWER_INFINITE | UPPER_INFINITE


@dataclass(frozen=True, slots=True)
class RangeNames:
    """What a range type or its multirange type is called: OIDs, schema, name, and its name in SQL."""

    oid: int
    array_oid: int
    name: str
    sql_name: str
    schema: str = "pg_catalog"


def range_type(names: RangeNames, subtype: Type, bounds: Bounds, multirange_oid: int) -> Type:
    """Return the type of ranges over a type's values."""
    return Type(
        oid=names.oid,
        name=names.name,
        sql_name=names.sql_name,
        size=-1,
        category="R",
        preferred=False,
        by_value=False,
        align="d" if subtype.align == "d" else "i",
        delimiter=",",
        text_encoder=lambda settings: range_encoder(subtype.text_encoder(settings)),
        text_decoder=lambda settings: range_decoder(subtype.text_decoder(settings), bounds),
        binary_encode=_range_binary_encoder(subtype.binary_encode),
        binary_decode=_range_binary_decoder(subtype.binary_decode, bounds),
        store_template=_bounds_template(subtype.store_template, "map_bounds({{0}}, {})"),
        load_template=_bounds_template(subtype.load_template, "map_bounds({{0}}, {})"),
        sort_key=bounds.places,
        hash_key=bounds.places,
        array_oid=names.array_oid,
        kind="r",
        column_allowed=False,
        column_of_postgres=True,
        key_allowed=subtype.key_allowed,
        schema=names.schema,
        subtype_oid=subtype.oid,
        multirange_oid=multirange_oid,
        bounds=bounds,
    )


def multirange_type(names: RangeNames, ranges: Type) -> Type:
    """Return the type of multiranges over a range type."""
    assert ranges.bounds is not None
    bounds = ranges.bounds
    store, load = ranges.store_template.format("each"), ranges.load_template.format("each")
    return Type(
        oid=names.oid,
        name=names.name,
        sql_name=names.sql_name,
        size=-1,
        category="R",
        preferred=False,
        by_value=False,
        align=ranges.align,
        delimiter=",",
        text_encoder=lambda settings: multirange_encoder(ranges.text_encoder(settings)),
        text_decoder=lambda settings: multirange_decoder(ranges.text_decoder(settings), bounds),
        binary_encode=_multirange_binary_encoder(ranges.binary_encode),
        binary_decode=_multirange_binary_decoder(ranges.binary_decode, bounds),
        store_template=f"[{store} for each in {{0}}]",
        load_template=f"tuple([{load} for each in {{0}}])",
        sort_key=bounds.multirange_key,
        hash_key=bounds.multirange_key,
        array_oid=names.array_oid,
        kind="m",
        column_allowed=False,
        column_of_postgres=True,
        key_allowed=ranges.key_allowed,
        schema=names.schema,
        subtype_oid=ranges.oid,
        bounds=bounds,
    )


def with_arrays(*made: Type) -> tuple[Type, ...]:
    """Return types with those of their arrays."""
    return tuple(
        each for kind in made for each in (kind, replace(array_of(kind), schema=kind.schema))
    )


def map_bounds(value: Any, convert: Callable[[Any], Any]) -> Range:
    """Return a range, or what a row holds of it, with its finite bounds converted."""
    lower, upper, flags = value
    return (
        None if lower is None else convert(lower),
        None if upper is None else convert(upper),
        flags,
    )


def _bounds_template(template: str, written: str) -> str:
    """Return the template of ranges, given that of their bounds ("": they are stored as they are)."""
    if not template:
        return "tuple({0})"
    return written.format(f"lambda bound: {template.format('bound')}")


def _range_binary_encoder(encode: Encode) -> Encode:
    def bound(value: Any) -> bytes:
        if value is None:
            return b""
        data = encode(value)
        return _LENGTH.pack(len(data)) + data

    def encode_range(value: Range) -> bytes:
        lower, upper, flags = value
        return bytes((flags,)) + bound(lower) + bound(upper)

    return encode_range


def _range_binary_decoder(decode: Decode, bounds: Bounds) -> Decode:
    """Return the decoder of a range's binary format (range_recv). It raises SqlError 08P01, 22P03."""

    def decode_range(data: bytes) -> Range:
        if not data:
            raise wrong_length(data, 1)
        flags = data[0] & _KNOWN_FLAGS
        position = 1
        lower = upper = None
        if not flags & (IS_EMPTY | LOWER_INFINITE):
            lower, position = _part(data, position)
            lower = decode(lower)
        if not flags & (IS_EMPTY | UPPER_INFINITE):
            upper, position = _part(data, position)
            upper = decode(upper)
        if position != len(data):
            raise wrong_length(data, position)
        return bounds.make(lower, upper, flags)

    return decode_range


def _part(data: bytes, position: int) -> tuple[Any, int]:
    """Return a value's bytes behind their length, and where they end."""
    start = position + _LENGTH.size
    if start > len(data):
        raise wrong_length(data, start)
    end = start + _LENGTH.unpack_from(data, position)[0]
    if not start <= end <= len(data):
        raise SqlError("08P01", "insufficient data left in message")
    return data[start:end], end


def _multirange_binary_encoder(encode: Encode) -> Encode:
    def each(value: Range) -> bytes:
        data = encode(value)
        return _COUNT.pack(len(data)) + data

    return lambda value: _COUNT.pack(len(value)) + join(b"", map(each, value))


def _multirange_binary_decoder(decode: Decode, bounds: Bounds) -> Decode:
    def decode_multirange(data: bytes) -> Multirange:
        if len(data) < _COUNT.size:
            raise wrong_length(data, _COUNT.size)
        position = _COUNT.size
        ranges = []
        for _ in range(_COUNT.unpack_from(data)[0]):
            part, position = _part(data, position)
            ranges.append(decode(part))
        if position != len(data):
            raise wrong_length(data, position)
        return bounds.joined(ranges)

    return decode_multirange


def _next_integer(sql_name: str, bits: int) -> Callable[[int], int]:
    def following(value: int) -> int:
        if value + 1 == 1 << (bits - 1):
            raise SqlError("22003", f"{sql_name} out of range")
        return value + 1

    return following


def _next_date(value: int) -> int:
    is_infinite = value in (calendar.DATE_INFINITY, calendar.DATE_MINUS_INFINITY)
    return value if is_infinite else calendar.check_date(value + 1)


# Name, OIDs of the type and its array, of the multirange type and its array, bounds' type, next value.
_SYSTEM: tuple[tuple[str, int, int, int, int, int, Callable[[Any], Any] | None], ...] = (
    ("int4range", oids.INT4RANGE, 3905, 4451, 6150, oids.INT4, _next_integer("integer", 32)),
    ("int8range", oids.INT8RANGE, 3927, 4536, 6157, oids.INT8, _next_integer("bigint", 64)),
    ("numrange", oids.NUMRANGE, 3907, 4532, 6151, oids.NUMERIC, None),
    ("tsrange", oids.TSRANGE, 3909, 4533, 6152, oids.TIMESTAMP, None),
    ("tstzrange", oids.TSTZRANGE, 3911, 4534, 6153, oids.TIMESTAMPTZ, None),
    ("daterange", oids.DATERANGE, 3913, 4535, 6155, oids.DATE, _next_date),
)


def _define() -> None:
    for name, oid, array, multi_oid, multi_array, subtype_oid, next_of in _SYSTEM:
        subtype = registry.get(subtype_oid)
        multi_name = name.replace("range", "multirange")
        bounds = Bounds(subtype.sort_key, next_of)
        names = RangeNames(oid, array, name, name)
        ranges = range_type(names, subtype, bounds, multi_oid)
        multi = multirange_type(RangeNames(multi_oid, multi_array, multi_name, multi_name), ranges)
        for made in with_arrays(ranges, multi):
            registry.register(made)


_define()
