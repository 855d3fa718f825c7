"""Edges of RANGE frames: a value of the order column, and an offset from it.

PostgreSQL asks in_range functions whether a row is within an offset of another; here the edge is computed
and looked up among the sorted values. It need not be a value of the column's type: a date's edge lies
within a day, and that of an integer or a time of day may be out of its type's range.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

from dsql.errors import SqlError
from dsql.functions import date_arithmetic
from dsql.functions.function import Context
from dsql.functions.timestamps import date_to_timestamp, session_zone
from dsql.types import calendar, interval, oids
from dsql.types.numeric import EXACT

_CLOCK_TYPES = (oids.TIME, oids.TIMETZ)


def check_range_offset(offset: Any, type_oid: int) -> None:
    """Raise SqlError 22013 for an offset that is negative or NaN."""
    if isinstance(offset, tuple):
        offset = offset[2] if type_oid in _CLOCK_TYPES else interval.span(offset)
    if offset != offset or offset < 0:
        raise SqlError("22013", "invalid preceding or following size in window function")


def shifted(value: Any, offset: Any, type_oid: int, context: Context, *, forward: bool) -> Any:
    """Return value +- offset, None where that is no number: infinity less infinity.

    Raises SqlError 22008 where PostgreSQL's addition does.
    """
    if isinstance(offset, tuple):
        return _shifted_in_time(value, offset, type_oid, context, forward=forward)
    if isinstance(value, Decimal):
        edge = EXACT.add(value, offset) if forward else EXACT.subtract(value, offset)
    else:
        edge = value + offset if forward else value - offset
    return None if edge != edge and value == value else edge


def _shifted_in_time(
    value: Any, offset: interval.Interval, type_oid: int, context: Context, *, forward: bool
) -> Any:
    if type_oid in _CLOCK_TYPES:  # months and days do not count
        time = offset[2] if forward else -offset[2]
        return value + time if type_oid == oids.TIME else (value[0] + time, value[1])
    if type_oid == oids.INTERVAL:
        add, subtract = date_arithmetic.add_intervals, date_arithmetic.subtract_intervals
        return (add if forward else subtract)(value, offset)
    change: interval.Interval = offset if forward else date_arithmetic.negate(offset)
    if type_oid == oids.TIMESTAMPTZ:
        return date_arithmetic.add_in_zone(session_zone(context), value, change)
    if type_oid == oids.TIMESTAMP:
        return date_arithmetic.add_to_timestamp(value, change)
    start = date_to_timestamp(value)
    if calendar.is_infinite(start):
        return value
    return Fraction(date_arithmetic.add_to_timestamp(start, change), calendar.DAY)
