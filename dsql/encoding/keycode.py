"""Order-preserving keys: bytes that compare as SQL compares the values.

Every encoding is prefix-free, so the columns of a key are simply put one after the other.

    integers, oid, reg*      8 bytes, sign bit flipped; all integer types share the form
    bool                     1 byte
    float4, float8, enums    8 bytes of the double: positive with the sign bit set, negative inverted;
                             -0 is 0, NaN comes last
    numeric                  class byte, exponent, decimal digits (`_numeric`); 1.0 and 1.00 are equal
    text family              UTF-8, 0x00 as 0x00 0xff, ended by 0x00 0x01 (collation C);
                             bpchar without its trailing blanks
    bytea                    like text
    uuid                     its 16 bytes
    date, time, timestamp(tz)  8 bytes like integers
    timetz                   instant, then zone, 16 bytes
    interval                 16 bytes of its length with months of 30 days, as PostgreSQL compares it
    tid, pg_lsn, xid8        6 or 8 bytes
    money                    8 bytes like integers
    bit, varbit              like text
    inet, cidr               version, network, prefix length, address
    macaddr, macaddr8        their bytes
    ranges, multiranges      their bounds in order (`_range`), as PostgreSQL compares them
    arrays, composites       their elements or fields in order (`_array`, `_record`)

In an index each column has a marker in front: 0x01 for a value; NULL is 0x02 where NULLs come last and
0x00 where they come first, and has no value. A descending column's value bytes (not the marker) are
inverted.

Generated code uses templates: Python expressions of `{0}`, `{1}` ... (`str.format`), each to be replaced by
a name or an expression in parentheses whose value is not None unless the column is nullable. Neighbouring
columns of fixed width become one call of a precompiled `struct.Struct.pack`, the keyspace's prefix
included: a primary key (int4, int8) is

    pack_IQQ(16384, {0} + 9223372036854775808, {1} + 9223372036854775808)

Making a template enters the functions that it calls into `NAMES`; use `NAMES` as globals after that.
"""

from __future__ import annotations

import binascii
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from dsql.encoding.keyspace import PREFIX_BYTES
from dsql.errors import SqlError, unsupported
from dsql.limits import KEY_BYTES_MAX
from dsql.types import array, network, registry
from dsql.types.range import (
    IS_EMPTY,
    LOWER_INCLUSIVE,
    LOWER_INFINITE,
    UPPER_INCLUSIVE,
    UPPER_INFINITE,
    Multirange,
    Range,
)

NULL_FIRST = b"\x00"
NOT_NULL = b"\x01"
NULL_LAST = b"\x02"

_SIGN = 1 << 63
_ALL = (1 << 64) - 1
_HALF = (1 << 32) - 1
_MICROSECONDS_PER_DAY = 86_400_000_000
_DAYS_PER_MONTH = 30  # PostgreSQL's DAYS_PER_MONTH for comparing intervals
_INVERTED = bytes(255 - byte for byte in range(256))

_double_to_bits = struct.Struct(">d")
_bits = struct.Struct(">Q")


@dataclass(frozen=True, slots=True)
class KeyColumn:
    """One column of an index key. `nulls_first` None: as PostgreSQL's default for the direction."""

    type_oid: int
    nullable: bool = True
    descending: bool = False
    nulls_first: bool | None = None

    @property
    def null_marker(self) -> bytes:
        """The whole encoding of NULL in this column."""
        first = self.descending if self.nulls_first is None else self.nulls_first
        return NULL_FIRST if first else NULL_LAST


@dataclass(frozen=True, slots=True)
class _Fixed:
    """A type of constant width: struct format characters, and an expression for each."""

    format: str
    ascending: tuple[str, ...]
    descending: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Variable:
    """A type whose encoding is an expression of bytes."""

    expression: str


def _float_bits(value: float) -> int:
    if value != value:
        return _ALL
    bits: int = _bits.unpack(_double_to_bits.pack(value + 0.0))[0]  # -0.0 + 0.0 is 0.0
    return bits ^ _SIGN if bits < _SIGN else bits ^ _ALL


_NAN, _INFINITY, _POSITIVE, _ZERO, _NEGATIVE, _MINUS_INFINITY = (
    b"\x60",
    b"\x50",
    b"\x40",
    b"\x30",
    b"\x20",
    b"\x10",
)
_EXPONENT_BIAS = 1 << 31
# Digit 0..9 becomes hexadecimal digit 1..a; nibble 0 ends the number and sorts below every digit.
_DIGIT_NIBBLES = bytes(b"123456789a"[byte] if byte < 10 else 0 for byte in range(256))


def _numeric(value: Decimal) -> bytes:
    """Encode any Decimal. A number is 0.d1d2d3... * 10^e with d1 != 0.

    Positive: class, e biased in 4 bytes, the digits a nibble each without trailing zeros, a zero nibble.
    Negative: all but the class byte inverted.
    """
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        if exponent == "F":
            return _MINUS_INFINITY if sign else _INFINITY
        return _NAN
    significant = bytes(digits).lstrip(b"\x00")
    scale = exponent + len(significant) + _EXPONENT_BIAS
    significant = significant.rstrip(b"\x00")
    if not significant:
        return _ZERO
    nibbles = significant.translate(_DIGIT_NIBBLES) + (b"0" if len(significant) % 2 else b"00")
    body = scale.to_bytes(4, "big") + binascii.unhexlify(nibbles)
    return _NEGATIVE + body.translate(_INVERTED) if sign else _POSITIVE + body


def _interval(value: tuple[int, int, int]) -> bytes:
    months, days, microseconds = value
    span = (months * _DAYS_PER_MONTH + days) * _MICROSECONDS_PER_DAY + microseconds
    return (span + (1 << 127)).to_bytes(16, "big")


def _timetz_instant(value: tuple[int, int]) -> int:
    return value[0] + value[1] * 1_000_000


NAMES: dict[str, Any] = {
    "key_float_bits": _float_bits,
    "key_numeric": _numeric,
    "key_interval": _interval,
    "key_timetz_instant": _timetz_instant,
    "key_inverted": _INVERTED,
    "key_network": network.key_of,
}

_INTEGER = _Fixed("Q", (f"{{0}} + {_SIGN}",), (f"{_SIGN - 1} - {{0}}",))
_ESCAPE = r'.replace(b"\x00", b"\x00\xff") + b"\x00\x01"'
_TEXT = _Variable("{0}.encode()" + _ESCAPE)
_FLOAT = _Fixed("Q", ("key_float_bits({0})",), (f"{_ALL} - key_float_bits({{0}})",))
_TIMETZ = _Fixed(
    "QQ",
    (f"key_timetz_instant({{0}}) + {_SIGN}", f"{{0}}[1] + {_SIGN}"),
    (f"{_SIGN - 1} - key_timetz_instant({{0}})", f"{_SIGN - 1} - {{0}}[1]"),
)

_ENCODINGS: dict[int, _Fixed | _Variable] = {
    16: _Fixed("?", ("{0}",), ("not {0}",)),  # bool; descending is the order only, not the inverse
    17: _Variable("{0}" + _ESCAPE),  # bytea
    **dict.fromkeys((20, 21, 23, 26, 28, 29), _INTEGER),  # int8 int2 int4 oid xid cid
    **dict.fromkeys((24, 2202, 2203, 2204, 2205, 2206), _INTEGER),  # regproc .. regtype
    **dict.fromkeys((3734, 3769, 4089, 4096, 4191), _INTEGER),  # regconfig .. regcollation
    **dict.fromkeys((1082, 1083, 1114, 1184), _INTEGER),  # date time timestamp timestamptz
    **dict.fromkeys((18, 19, 25, 705, 1043), _TEXT),  # "char" name text unknown varchar
    1042: _Variable('{0}.rstrip(" ").encode()' + _ESCAPE),  # bpchar
    **dict.fromkeys((700, 701), _FLOAT),
    1186: _Variable("key_interval({0})"),
    **dict.fromkeys((650, 869), _Variable("key_network({0})")),  # cidr inet
    **dict.fromkeys((774, 829), _Variable("bytes({0})")),  # macaddr8 macaddr
    790: _INTEGER,  # money
    **dict.fromkeys((1560, 1562), _TEXT),  # bit varbit
    27: _Fixed("IH", ("{0}[0]", "{0}[1]"), (f"{_HALF} - {{0}}[0]", "65535 - {0}[1]")),  # tid
    **dict.fromkeys((3220, 5069), _Fixed("Q", ("{0}",), (f"{_ALL} - {{0}}",))),  # pg_lsn xid8
    1266: _TIMETZ,
    1700: _Variable("key_numeric({0})"),
    2950: _Fixed("16s", ("{0}",), ("{0}.translate(key_inverted)",)),  # uuid
}


def _encoding(type_oid: int) -> _Fixed | _Variable:
    found = _ENCODINGS.get(type_oid)
    if found is not None:
        return found
    kind = registry.get(type_oid)
    if kind.kind == "e":
        return _FLOAT
    if kind.kind == "r":
        return _Variable(f"key_range({{0}}, {kind.subtype_oid})")
    if kind.kind == "m":
        subtype = registry.get(kind.subtype_oid).subtype_oid
        return _Variable(f"key_multirange({{0}}, {subtype})")
    if kind.kind == "c":
        return _Variable(f"key_record({{0}}, {tuple(oid for _, oid, _ in kind.fields)})")
    if kind.element_oid:
        return _Variable(f"key_array({{0}}, {kind.element_oid})")
    raise unsupported(f"keys of the type with OID {type_oid} are not supported")


def has_encoding(type_oid: int) -> bool:
    """Return whether values of a type can be parts of a key."""
    kind = registry.get(type_oid)
    parts = [oid for _, oid, _ in kind.fields] or [kind.element_oid or kind.subtype_oid]
    if type_oid in _ENCODINGS or kind.kind == "e":
        return True
    return any(parts) and all(has_encoding(oid) for oid in parts)


def _range(value: Range, subtype: int) -> bytes:
    """Encode a range: 0x00 for the empty one, else 0x01 and both bounds.

    A lower bound is 0x00 if infinite, else 0x01, its value, and 0x00 if it is part of the range or 0x01;
    an upper one 0x01, its value, and 0x01 if it is part of the range or 0x00; 0x02 if infinite.
    """
    lower, upper, flags = value
    if flags & IS_EMPTY:
        return b"\x00"
    start, end = b"\x00", b"\x02"
    if not flags & LOWER_INFINITE:
        step = b"\x00" if flags & LOWER_INCLUSIVE else b"\x01"
        start = b"\x01" + encode(subtype, lower) + step
    if not flags & UPPER_INFINITE:
        step = b"\x01" if flags & UPPER_INCLUSIVE else b"\x00"
        end = b"\x01" + encode(subtype, upper) + step
    return b"\x01" + start + end


def _multirange(value: Multirange, subtype: int) -> bytes:
    """Encode a multirange: its ranges, none of which is empty, and 0x00."""
    return b"".join([_range(each, subtype) for each in value]) + b"\x00"


def _record(value: Sequence[Any], types: tuple[int, ...]) -> bytes:
    """Encode a composite value: each field with its marker; NULL equals itself and comes last."""
    pairs = zip(types, value, strict=True)
    return b"".join([encode(oid, item, nullable=True) for oid, item in pairs])


def _array(value: Sequence[Any], element: int) -> bytes:
    """Encode an array: its elements with their markers (NULL last), 0x00, then its shape.

    The shape is the number of dimensions, their lengths and their lower bounds, 4 bytes each.
    """
    items = [encode(element, item, nullable=True) for item in array.leaves(value)]
    lengths = array.dimensions(value)
    bounds = [bound + (1 << 31) for bound in array.lower_bounds(value)]
    shape = struct.pack(f">I{len(lengths) + len(bounds)}I", len(lengths), *lengths, *bounds)
    return b"".join([*items, b"\x00", shape])


NAMES |= {
    "key_array": _array,
    "key_multirange": _multirange,
    "key_range": _range,
    "key_record": _record,
}


class _Builder:
    """Collects the parts of a key, packing neighbours of fixed width together."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._format = ""
        self._arguments: list[str] = []

    def constant(self, content: bytes) -> None:
        """Add bytes that are the same in every key."""
        for byte in content:
            self._format += "B"
            self._arguments.append(str(byte))

    def prefix(self, keyspace_id: int) -> None:
        """Add a keyspace's prefix."""
        self._format += "I"
        self._arguments.append(str(keyspace_id))

    def fixed(self, fixed: _Fixed, number: int, descending: bool) -> None:
        """Add a column of constant width."""
        self._format += fixed.format
        expressions = fixed.descending if descending else fixed.ascending
        self._arguments += [_renumber(expression, number) for expression in expressions]

    def expression(self, text: str) -> None:
        """Add an expression of bytes."""
        self._flush()
        self._parts.append(text)

    def _flush(self) -> None:
        if not self._format:
            return
        if all(argument.isdecimal() for argument in self._arguments):
            content = struct.pack(">" + self._format, *map(int, self._arguments))
            # Hexadecimal throughout, so that no byte reads as a brace of the template.
            self._parts.append('b"' + "".join(f"\\x{byte:02x}" for byte in content) + '"')
        else:
            self._parts.append(f"{_pack_name(self._format)}({', '.join(self._arguments)})")
        self._format, self._arguments = "", []

    def finish(self) -> str:
        """Return the whole key's template."""
        self._flush()
        return " + ".join(self._parts) or 'b""'


def _pack_name(layout: str) -> str:
    name = f"pack_{layout.replace('?', 'b_')}"
    if name not in NAMES:
        NAMES[name] = struct.Struct(">" + layout).pack
    return name


def _renumber(expression: str, number: int) -> str:
    return expression.replace("{0}", f"{{{number}}}")


def _add_value(builder: _Builder, type_oid: int, number: int, descending: bool) -> None:
    encoding = _encoding(type_oid)
    if isinstance(encoding, _Fixed):
        builder.fixed(encoding, number, descending)
        return
    expression = _renumber(encoding.expression, number)
    if descending:
        expression = f"({expression}).translate(key_inverted)"
    builder.expression(expression)


def _add_index_column(builder: _Builder, column: KeyColumn, number: int) -> None:
    if not column.nullable:
        builder.constant(NOT_NULL)
        _add_value(builder, column.type_oid, number, column.descending)
        return
    value = _Builder()
    value.constant(NOT_NULL)
    _add_value(value, column.type_oid, number, column.descending)
    null = f'b"\\x{column.null_marker[0]:02x}"'
    builder.expression(f"({null} if {{{number}}} is None else {value.finish()})")


def table_key_template(keyspace_id: int, type_oids: Sequence[int]) -> str:
    """Return an expression of {0} ... that gives the key of a row, or its leading part.

    With fewer than all key columns the result is the prefix of a range (`keyspace.prefix_end`).
    """
    builder = _Builder()
    builder.prefix(keyspace_id)
    for number, type_oid in enumerate(type_oids):
        _add_value(builder, type_oid, number, descending=False)
    return builder.finish()


def index_key_template(keyspace_id: int, columns: Sequence[KeyColumn]) -> str:
    """Return an expression of {0} ... that gives an index entry's key up to its columns.

    The row's key without its prefix is to be appended where the entry is not unique.
    """
    builder = _Builder()
    builder.prefix(keyspace_id)
    for number, column in enumerate(columns):
        _add_index_column(builder, column, number)
    return builder.finish()


def key_template(
    type_oid: int,
    *,
    nullable: bool = False,
    descending: bool = False,
    nulls_first: bool | None = None,
    marker: bool = False,
) -> str:
    """Return an expression of {0} for one column alone, without a prefix.

    `marker`: with the marker of index columns; a nullable column always has it.
    """
    builder = _Builder()
    if nullable or marker:
        _add_index_column(builder, KeyColumn(type_oid, nullable, descending, nulls_first), 0)
    else:
        _add_value(builder, type_oid, 0, descending)
    return builder.finish()


_functions: dict[tuple[int, bool, bool, bool | None], Callable[[Any], bytes]] = {}


def encode(
    type_oid: int,
    value: Any,
    nullable: bool = False,
    descending: bool = False,
    nulls_first: bool | None = None,
) -> bytes:
    """Encode one runtime value; with a marker in front if `nullable`."""
    shape = (type_oid, nullable, descending, nulls_first)
    function = _functions.get(shape)
    if function is None:
        template = key_template(
            type_oid, nullable=nullable, descending=descending, nulls_first=nulls_first
        )
        function = eval(f"lambda value: {template.format('value')}", NAMES)
        _functions[shape] = function
    return function(value)


def check_key_size(key: bytes) -> None:
    """Raise SqlError 54000 for a key above the budget that all of its columns share."""
    if len(key) > KEY_BYTES_MAX + PREFIX_BYTES:
        raise SqlError("54000", "key size too large")
