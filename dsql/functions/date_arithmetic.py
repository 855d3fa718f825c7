"""Operators and casts among date, time, timestamp and interval.

An interval is added months first (the day cut to the month's length), then days, then microseconds; for
timestamptz months and days are added on the session's local clock.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from dsql.errors import SqlError
from dsql.functions.arithmetic import division_by_zero
from dsql.functions.definition import define
from dsql.functions.function import Context
from dsql.functions.timestamps import (
    date_to_timestamp,
    instant_in_zone,
    instant_to_local,
    local_in_zone,
    local_to_instant,
    session_zone,
    timestamp_to_date,
)
from dsql.types import calendar, interval
from dsql.types.calendar import DAY, SECOND, check_date, check_timestamp
from dsql.types.interval import Interval
from dsql.types.timezone import Zone

TimeTz = tuple[int, int]


def shift_months(days: int, months: int) -> int:
    """Move a day by months, to the last day of a shorter month."""
    year, month, day = calendar.date_of(days)
    year, month = divmod(year * 12 + month - 1 + months, 12)
    return calendar.days_of(year, month + 1, min(day, calendar.days_in_month(year, month + 1)))


def _shift_days(local: int, months: int, days: int) -> int:
    """Add months and days to a local time."""
    date, time = divmod(local, DAY)
    if months:
        date = shift_months(date, months)
    return (date + days) * DAY + time


def add_to_timestamp(value: int, span: Interval) -> int:
    """Add an interval to a timestamp. Raises SqlError 22008."""
    if calendar.is_infinite(value):
        return value
    months, days, micros = span
    if months or days:
        value = check_timestamp(_shift_days(value, months, days))
    return check_timestamp(value + micros)


def add_in_zone(at: Zone, value: int, span: Interval) -> int:
    """Add an interval to an instant, its months and days on the clock of a zone."""
    if calendar.is_infinite(value):
        return value
    months, days, micros = span
    if months or days:
        value = instant_in_zone(at, _shift_days(local_in_zone(at, value), months, days))
    return check_timestamp(value + micros)


def negate(span: Interval) -> Interval:
    """Return the interval with every part negated. Raises SqlError 22008."""
    return interval.check((-span[0], -span[1], -span[2]))


def _minus(span: Interval) -> Interval:
    return -span[0], -span[1], -span[2]


def add_intervals(left: Interval, right: Interval) -> Interval:
    """Add part by part. Raises SqlError 22008."""
    return interval.check((left[0] + right[0], left[1] + right[1], left[2] + right[2]))


def subtract_intervals(left: Interval, right: Interval) -> Interval:
    """Subtract part by part. Raises SqlError 22008."""
    return interval.check((left[0] - right[0], left[1] - right[1], left[2] - right[2]))


_SCALED_MAX = 2.0**64  # above, no part of an interval holds the number


def _round_seconds(value: float) -> float:
    return round(value * 1e6) / 1e6


def multiply(span: Interval, factor: float) -> Interval:
    """Scale an interval, fractions of months and days going into smaller parts.

    Raises SqlError 22008.
    """
    if not math.isfinite(factor):
        raise interval.out_of_range()
    return _scaled(span, lambda part: part * factor)


def divide(span: Interval, divisor: float) -> Interval:
    """Divide an interval. Raises SqlError 22012 and 22008."""
    if divisor == 0:
        raise division_by_zero()
    if not math.isfinite(divisor):
        raise interval.out_of_range()
    return _scaled(span, lambda part: part / divisor)


def _scaled(span: Interval, scale: Callable[[int], float]) -> Interval:
    if any(abs(scale(part)) > _SCALED_MAX for part in span):
        raise interval.out_of_range()
    months, days = int(scale(span[0])), int(scale(span[1]))
    month_days = _round_seconds((scale(span[0]) - months) * 30)
    seconds = _round_seconds((scale(span[1]) - days + month_days - int(month_days)) * 86_400)
    if abs(seconds) >= 86_400:
        days += int(seconds / 86_400)
        seconds -= int(seconds / 86_400) * 86_400
    micros = round(scale(span[2]) + seconds * 1e6)
    return interval.check((months, days + int(month_days), micros))


def subtract_timestamps(left: int, right: int) -> Interval:
    """Return the difference in days and microseconds. Raises SqlError 22008 for infinities."""
    if calendar.is_infinite(left) or calendar.is_infinite(right):
        raise SqlError("22008", "cannot subtract infinite timestamps")
    micros = left - right
    days = (
        int(micros / DAY) if abs(micros) < 2**52 else abs(micros) // DAY * (1 if micros > 0 else -1)
    )
    return 0, days, micros - days * DAY


def subtract_dates(left: int, right: int) -> int:
    """Return the days between dates. Raises SqlError 22008 for infinities."""
    if _is_infinite_date(left) or _is_infinite_date(right):
        raise SqlError("22008", "cannot subtract infinite dates")
    return left - right


def _is_infinite_date(days: int) -> bool:
    return days in (calendar.DATE_INFINITY, calendar.DATE_MINUS_INFINITY)


def add_days(date: int, days: int) -> int:
    """Add days to a date. Raises SqlError 22008."""
    return date if _is_infinite_date(date) else check_date(date + days)


def add_to_date(date: int, span: Interval) -> int:
    """Return the timestamp of a date plus an interval."""
    return add_to_timestamp(date_to_timestamp(date), span)


def _date_and_time(date: int, time: int) -> int:
    start = date_to_timestamp(date)
    return start if calendar.is_infinite(start) else check_timestamp(start + time)


def _date_and_timetz(date: int, time: TimeTz) -> int:
    return _date_and_time(date, time[0] + time[1] * SECOND)


def _add_to_time(time: int, span: Interval) -> int:
    return (time + span[2]) % DAY


def _add_to_timetz(time: TimeTz, span: Interval) -> TimeTz:
    return (time[0] + span[2]) % DAY, time[1]


def _time_of_instant(context: Context, instant: int) -> int:
    return 0 if calendar.is_infinite(instant) else instant_to_local(context, instant) % DAY


def _timetz_of_instant(context: Context, instant: int) -> TimeTz | None:
    if calendar.is_infinite(instant):
        return None
    offset = session_zone(context).offset_at(instant)
    return (instant + offset * SECOND) % DAY, -offset


def _timetz_of_time(context: Context, time: int) -> TimeTz:
    at = session_zone(context)
    today = (
        context.transaction_timestamp + at.offset_at(context.transaction_timestamp) * SECOND
    ) // DAY
    return time, -at.offset_of_local(today * DAY + time)


def _swapped(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda left, right: function(right, left)


def _in_session_zone(context: Context, value: int, span: Interval) -> int:
    return add_in_zone(session_zone(context), value, span)


define("interval_um", negate)
define("interval_pl", add_intervals)
define("interval_mi", subtract_intervals)
define("interval_mul", multiply)
define("mul_d_interval", _swapped(multiply))
define("interval_div", divide)
define("timestamp_pl_interval", add_to_timestamp)
define("timestamp_mi_interval", lambda value, span: add_to_timestamp(value, _minus(span)))
define("interval_pl_timestamp", _swapped(add_to_timestamp))
define("timestamptz_pl_interval", _in_session_zone, needs_context=True)
define("timestamptz_mi_interval",
       lambda context, value, span: _in_session_zone(context, value, _minus(span)),
       needs_context=True)  # fmt: skip
define("interval_pl_timestamptz",
       lambda context, span, value: _in_session_zone(context, value, span),
       needs_context=True)  # fmt: skip
define("timestamp_mi timestamptz_mi", subtract_timestamps)
define("date_mi", subtract_dates)
define("date_pli", add_days)
define("integer_pl_date", _swapped(add_days))
define("date_mii", lambda date, days: add_days(date, -days))
define("date_pl_interval", add_to_date)
define("interval_pl_date", _swapped(add_to_date))
define("date_mi_interval", lambda date, span: add_to_date(date, _minus(span)))
define("datetime_pl timestamp(date,time)", _date_and_time)
define("timedate_pl", _swapped(_date_and_time))
define("datetimetz_pl timestamptz(date,timetz)", _date_and_timetz)
define("timetzdate_pl", _swapped(_date_and_timetz))
define("time_mi_time", lambda left, right: (0, 0, left - right))
define("time_pl_interval", _add_to_time)
define("interval_pl_time", _swapped(_add_to_time))
define("time_mi_interval", lambda time, span: _add_to_time(time, _minus(span)))
define("timetz_pl_interval", _add_to_timetz)
define("interval_pl_timetz", _swapped(_add_to_timetz))
define("timetz_mi_interval", lambda time, span: _add_to_timetz(time, _minus(span)))

define("timestamp(date)", date_to_timestamp)
define("date(timestamp)", timestamp_to_date)
define("timestamptz(date)",
       lambda context, date: local_to_instant(context, date_to_timestamp(date)),
       needs_context=True)  # fmt: skip
define("timestamptz(date,time)",
       lambda context, date, time: local_to_instant(context, _date_and_time(date, time)),
       needs_context=True)  # fmt: skip
define("date(timestamptz)",
       lambda context, value: timestamp_to_date(instant_to_local(context, value)),
       needs_context=True)  # fmt: skip
define("timestamptz(timestamp)", local_to_instant, needs_context=True)
define("timestamp(timestamptz)", instant_to_local, needs_context=True)
define("time(timestamp)", lambda value: None if calendar.is_infinite(value) else value % DAY)
define("time(timestamptz)", _time_of_instant, needs_context=True)
define("time(interval)", lambda span: span[2] % DAY)
define("time(timetz)", lambda value: value[0])
define("timetz(timestamptz)", _timetz_of_instant, needs_context=True)
define("timetz(time)", _timetz_of_time, needs_context=True)
define("interval(time)", lambda time: (0, 0, time))
