"""Type modifiers: varchar(10), numeric(10,2), timestamp(3), interval day to second.

A typmod is PostgreSQL's own packed int4 (pg_attribute.atttypmod), -1 for none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any

import dsql.types.builtin  # noqa: F401  (every type must be known here)
from dsql.errors import SqlError
from dsql.limits import NUMERIC_PRECISION_MAX
from dsql.types import calendar, interval, oids, registry
from dsql.types.array import map_leaves
from dsql.types.calendar import SECOND
from dsql.types.interval import FULL_RANGE, Interval
from dsql.types.numeric import rescale
from dsql.types.type import FormatSettings

_HEADER = 4  # VARHDRSZ, part of length and numeric typmods
_LENGTH_MAX = 10_485_760  # MaxAttrSize
_PRECISION_MAX = 6
_FULL_PRECISION = 0xFFFF
_SCALE_MAX = 1000

# Of format_type: spell out that there is no modifier, where the bare name means a length of 1.
NO_LENGTH = -2
_WITHOUT_LENGTH = {oids.BPCHAR: "bpchar", oids.BIT: '"bit"'}

Enforcer = Callable[[Any], Any]

_TIMES = {
    oids.TIME: ("time", " without time zone"),
    oids.TIMETZ: ("time", " with time zone"),
    oids.TIMESTAMP: ("timestamp", " without time zone"),
    oids.TIMESTAMPTZ: ("timestamp", " with time zone"),
}
_ZONED = (oids.TIMETZ, oids.TIMESTAMPTZ)
# What errors call the type, how many characters or bits it has at most, and what comes on top of these.
_LENGTHS = {
    oids.VARCHAR: ("varchar", _LENGTH_MAX, _HEADER),
    oids.BPCHAR: ("char", _LENGTH_MAX, _HEADER),
    oids.BIT: ("bit", 8 * _LENGTH_MAX, 0),
    oids.VARBIT: ("varbit", 8 * _LENGTH_MAX, 0),
}
_RANGES = {
    interval.YEAR_BIT: "year",
    interval.MONTH_BIT: "month",
    interval.DAY_BIT: "day",
    interval.HOUR_BIT: "hour",
    interval.MINUTE_BIT: "minute",
    interval.SECOND_BIT: "second",
}


def encode(type_oid: int, modifiers: Sequence[int], position: int = 0) -> int:
    """Return the typmod of written modifiers: (10,) for varchar(10). Raises SqlError 22023, 42601.

    An interval's modifiers are (range bits[, precision]), as PostgreSQL's grammar gives them. `position`:
    where a type is named that takes none.
    """
    if not modifiers:
        return -1
    if type_oid in _LENGTHS:
        return _encode_length(type_oid, modifiers)
    if type_oid == oids.NUMERIC:
        return _encode_numeric(modifiers)
    if type_oid in _TIMES:
        name, zone = _TIMES[type_oid]
        shown = zone.upper() if type_oid in _ZONED else ""
        return _precision(modifiers[0], f"{name.upper()}({{}}){shown}")
    if type_oid == oids.INTERVAL:
        return _encode_interval(modifiers)
    name = registry.get(type_oid).sql_name
    raise SqlError("42601", f'type modifier is not allowed for type "{name}"', position=position)


def _encode_length(type_oid: int, modifiers: Sequence[int]) -> int:
    name, most, header = _LENGTHS[type_oid]
    if len(modifiers) != 1:
        raise SqlError("22023", "invalid type modifier")
    if modifiers[0] < 1:
        raise SqlError("22023", f"length for type {name} must be at least 1")
    if modifiers[0] > most:
        raise SqlError("22023", f"length for type {name} cannot exceed {most}")
    return modifiers[0] + header


def _encode_numeric(modifiers: Sequence[int]) -> int:
    if len(modifiers) > 2:
        raise SqlError("22023", "invalid NUMERIC type modifier")
    precision, scale = (*modifiers, 0)[:2]
    if not 1 <= precision <= NUMERIC_PRECISION_MAX:
        raise SqlError(
            "22023",
            f"NUMERIC precision {precision} must be between 1 and {NUMERIC_PRECISION_MAX}",
        )
    if not -_SCALE_MAX <= scale <= _SCALE_MAX:
        raise SqlError(
            "22023", f"NUMERIC scale {scale} must be between -{_SCALE_MAX} and {_SCALE_MAX}"
        )
    return (precision << 16 | scale & 0x7FF) + _HEADER


def _encode_interval(modifiers: Sequence[int]) -> int:
    fields = (modifiers[0] & FULL_RANGE) << 16
    if len(modifiers) == 1:
        return -1 if modifiers[0] == FULL_RANGE else fields | _FULL_PRECISION
    return fields | _precision(modifiers[1], "INTERVAL({})")


def _precision(value: int, message: str) -> int:
    if value < 0:
        raise SqlError("22023", f"{message.format(value)} precision must not be negative")
    return min(value, _PRECISION_MAX)


def numeric_precision(typmod: int) -> tuple[int, int]:
    """Return (precision, scale) of a numeric typmod."""
    packed = typmod - _HEADER
    return packed >> 16, ((packed & 0x7FF) ^ 1024) - 1024


def length(typmod: int) -> int:
    """Return the characters of a varchar or bpchar typmod."""
    return typmod - _HEADER


def interval_parts(typmod: int) -> tuple[int, int]:
    """Return (range bits, precision) of an interval typmod; full ones for -1."""
    if typmod < 0:
        return FULL_RANGE, _PRECISION_MAX
    precision = typmod & _FULL_PRECISION
    return typmod >> 16 & FULL_RANGE, min(precision, _PRECISION_MAX)


def format_type(type_oid: int, typmod: int = -1) -> str:
    """Return the SQL name of a type with its modifier: "numeric(10,2)", "character varying(3)[]"."""
    known = registry.get(type_oid)
    if known.category == "A" and known.name.startswith("_"):
        return format_type(known.element_oid, typmod) + "[]"
    if typmod < 0:
        return (
            _WITHOUT_LENGTH.get(type_oid, known.sql_name) if typmod == NO_LENGTH else known.sql_name
        )
    if type_oid in (oids.VARCHAR, oids.BPCHAR):
        return f"{known.sql_name}({length(typmod)})"
    if type_oid in (oids.BIT, oids.VARBIT):
        return f"{known.sql_name}({typmod})"
    if type_oid == oids.NUMERIC:
        return "numeric({},{})".format(*numeric_precision(typmod))
    if type_oid in _TIMES:
        name, zone = _TIMES[type_oid]
        return f"{name}({typmod}){zone}"
    return _format_interval(typmod) if type_oid == oids.INTERVAL else known.sql_name


def _format_interval(typmod: int) -> str:
    bits, _ = interval_parts(typmod)
    names = [name for bit, name in _RANGES.items() if bits & bit] if bits != FULL_RANGE else []
    fields = f" {names[0]}" + (f" to {names[-1]}" if len(names) > 1 else "") if names else ""
    precision = typmod & _FULL_PRECISION
    return "interval" + fields + ("" if precision == _FULL_PRECISION else f"({precision})")


@lru_cache(1024)
def enforcer(type_oid: int, typmod: int, *, explicit: bool) -> Enforcer | None:
    """Return the function that makes a value obey a typmod; None if there is nothing to do.

    `explicit`: a cast that the user wrote truncates over-long strings. Raises (when called)
    SqlError 22001 and 22003.
    """
    if typmod < 0:
        return None
    known = registry.get(type_oid)
    if known.name.startswith("_") and known.element_oid:
        each = enforcer(known.element_oid, typmod, explicit=explicit)
        return None if each is None else lambda value: map_leaves(each, value)
    if type_oid == oids.VARCHAR:
        return _length_enforcer(length(typmod), known.sql_name, explicit=explicit, pad=False)
    if type_oid == oids.BPCHAR:
        return _length_enforcer(length(typmod), known.sql_name, explicit=explicit, pad=True)
    if type_oid == oids.BIT:
        return _bit_enforcer(typmod, explicit=explicit)
    if type_oid == oids.VARBIT:
        return _varbit_enforcer(typmod, explicit=explicit)
    if type_oid == oids.NUMERIC:
        return _numeric_enforcer(*numeric_precision(typmod))
    if type_oid in _TIMES:
        return _time_enforcer(type_oid, typmod)
    return _interval_enforcer(typmod) if type_oid == oids.INTERVAL else None


def _length_enforcer(limit: int, sql_name: str, *, explicit: bool, pad: bool) -> Enforcer:
    def enforce(value: str) -> str:
        if len(value) > limit:
            # Spaces beyond the limit go silently, as the SQL standard demands.
            if not explicit and value[limit:].strip(" "):
                raise SqlError("22001", f"value too long for type {sql_name}({limit})")
            return value[:limit]
        return value.ljust(limit) if pad else value

    return enforce


def _bit_enforcer(size: int, *, explicit: bool) -> Enforcer:
    def enforce(value: str) -> str:
        if len(value) == size:
            return value
        if not explicit:
            message = f"bit string length {len(value)} does not match type bit({size})"
            raise SqlError("22026", message)
        return value[:size].ljust(size, "0")

    return enforce


def _varbit_enforcer(limit: int, *, explicit: bool) -> Enforcer:
    def enforce(value: str) -> str:
        if len(value) > limit and not explicit:
            raise SqlError("22001", f"bit string too long for type bit varying({limit})")
        return value[:limit]

    return enforce


def _numeric_enforcer(precision: int, scale: int) -> Enforcer:
    digits = precision - scale
    field = f"A field with precision {precision}, scale {scale}"

    def enforce(value: Decimal) -> Decimal:
        if not value.is_finite():
            if value.is_nan():
                return value
            detail = f"{field} cannot hold an infinite value."
            raise SqlError("22003", "numeric field overflow", detail=detail)
        rounded = rescale(value, scale)
        if rounded and rounded.adjusted() >= digits:
            power = f"10^{digits}" if digits else "1"
            detail = f"{field} must round to an absolute value less than {power}."
            raise SqlError("22003", "numeric field overflow", detail=detail)
        return rounded

    return enforce


def round_micros(value: int, precision: int) -> int:
    """Round microseconds to `precision` digits of the second, half away from zero."""
    unit = SECOND // int(10**precision)
    half = unit // 2
    return (value + half) // unit * unit if value >= 0 else -((-value + half) // unit * unit)


def _time_enforcer(type_oid: int, precision: int) -> Enforcer | None:
    if precision >= _PRECISION_MAX:
        return None
    if type_oid == oids.TIMETZ:
        return lambda value: (round_micros(value[0], precision), value[1])

    def enforce(value: int) -> int:
        return value if calendar.is_infinite(value) else round_micros(value, precision)

    return enforce


def _interval_enforcer(typmod: int) -> Enforcer:
    bits, precision = interval_parts(typmod)
    lowest = next((bit for bit in reversed(_RANGES) if bits & bit), interval.SECOND_BIT)

    def enforce(value: Interval) -> Interval:
        months, days, micros = value
        if lowest == interval.YEAR_BIT:
            return int(months / 12) * 12, 0, 0
        if lowest == interval.MONTH_BIT:
            return months, 0, 0
        if lowest == interval.DAY_BIT:
            return months, days, 0
        if lowest in (interval.HOUR_BIT, interval.MINUTE_BIT):
            unit = calendar.HOUR if lowest == interval.HOUR_BIT else calendar.MINUTE
            return months, days, int(micros / unit) * unit
        return months, days, round_micros(micros, precision)

    return enforce


def input_decoder(type_oid: int, typmod: int, settings: FormatSettings) -> Callable[[str], Any]:
    """Return the function that reads a literal of a type with a typmod.

    An interval's typmod says what a bare number means (interval '5' day), so this is more than reading
    and then enforcing.
    """
    enforce = enforcer(type_oid, typmod, explicit=True)
    if type_oid == oids.INTERVAL and typmod >= 0:
        bits, _ = interval_parts(typmod)
        assert enforce is not None
        apply = enforce
        style = settings.interval_style
        return lambda text: apply(interval.parse_interval(text, bits, style))
    decode = registry.get(type_oid).text_decoder(settings)
    if enforce is None:
        return lambda text: decode(text.encode())
    return lambda text: enforce(decode(text.encode()))
