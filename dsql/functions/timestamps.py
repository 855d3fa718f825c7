"""Conversions between date, timestamp and timestamptz that several families need."""

from __future__ import annotations

from dsql.errors import SqlError
from dsql.functions.function import Context
from dsql.types import calendar
from dsql.types.calendar import DAY, SECOND
from dsql.types.timezone import Zone, zone


def date_to_timestamp(days: int) -> int:
    """Return midnight of a date. Raises SqlError 22008 if timestamp cannot hold it."""
    if days in (calendar.DATE_INFINITY, calendar.DATE_MINUS_INFINITY):
        return calendar.INFINITY if days > 0 else calendar.MINUS_INFINITY
    value = days * DAY
    if value >= calendar.TIMESTAMP_END:
        raise SqlError("22008", "date out of range for timestamp")
    return value


def timestamp_to_date(value: int) -> int:
    """Return the day of a timestamp."""
    if calendar.is_infinite(value):
        return calendar.DATE_INFINITY if value > 0 else calendar.DATE_MINUS_INFINITY
    return value // DAY


def session_zone(context: Context) -> Zone:
    """Return the session's time zone."""
    return zone(context.settings.time_zone)


def instant_in_zone(at: Zone, local: int) -> int:
    """Return the instant of a local time in a zone. Raises SqlError 22008."""
    if calendar.is_infinite(local):
        return local
    return calendar.check_timestamp(local - at.offset_of_local(local) * SECOND)


def local_in_zone(at: Zone, instant: int) -> int:
    """Return the local time of an instant in a zone. Raises SqlError 22008."""
    if calendar.is_infinite(instant):
        return instant
    return calendar.check_timestamp(instant + at.offset_at(instant) * SECOND)


def local_to_instant(context: Context, local: int) -> int:
    """Return the instant of a local time in the session's zone."""
    return instant_in_zone(session_zone(context), local)


def instant_to_local(context: Context, instant: int) -> int:
    """Return the local time of an instant in the session's zone."""
    return local_in_zone(session_zone(context), instant)
