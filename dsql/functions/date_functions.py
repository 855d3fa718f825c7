"""The clock, constructors, age, justification, time zones, OVERLAPS and series of times."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from dsql.errors import SqlError
from dsql.functions.date_arithmetic import add_in_zone, add_to_timestamp
from dsql.functions.definition import define
from dsql.functions.function import Context
from dsql.functions.timestamps import (
    instant_in_zone,
    instant_to_local,
    local_in_zone,
    local_to_instant,
    session_zone,
)
from dsql.types import calendar, interval
from dsql.types.calendar import DAY, HOUR, MINUTE, SECOND
from dsql.types.datetime_parse import numeric_offset
from dsql.types.interval import Interval
from dsql.types.temporal import timetz_key
from dsql.types.timezone import Zone, fixed_zone, zone

_NUMERIC_ZONE = re.compile(r"[+-]\d{1,6}(?::\d\d?){0,2}", re.ASCII)


def wall_clock() -> int:
    """Return the time now, microseconds since 2000-01-01 UTC."""
    return time.time_ns() // 1000 + calendar.UNIX_EPOCH


def _timeofday(context: Context) -> str:
    now = wall_clock()
    local = instant_to_local(context, now)
    days, micros = divmod(local, DAY)
    year, month, day = calendar.date_of(days)
    seconds, fraction = divmod(micros, SECOND)
    clock = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{fraction:06d}"
    name = session_zone(context).abbreviation_at(now)
    weekday = calendar.DAYS[calendar.weekday(days)][:3]
    return f"{weekday} {calendar.MONTHS[month - 1][:3]} {day:02d} {clock} {year:04d} {name}"


def age(left: int, right: int) -> Interval:
    """Return the difference in years, months, days and time as a calendar shows it."""
    if calendar.is_infinite(left) or calendar.is_infinite(right):
        raise SqlError("22008", "timestamp out of range")
    (early, late), sign = ((right, left), 1) if left >= right else ((left, right), -1)
    late_days, late_time = divmod(late, DAY)
    early_days, early_time = divmod(early, DAY)
    year, month, day = calendar.date_of(late_days)
    from_year, from_month, from_day = calendar.date_of(early_days)
    months, days = (year - from_year) * 12 + month - from_month, day - from_day
    micros = late_time - early_time
    if micros < 0:
        micros += DAY
        days -= 1
    if days < 0:
        # The borrowed month is the one that the earlier time lies in.
        days += calendar.days_in_month(from_year, from_month)
        months -= 1
    return sign * months, sign * days, sign * micros


def _age_of(context: Context, value: int, *, local: bool) -> Interval:
    """Return the age at the midnight that the transaction's day began with."""
    midnight = instant_to_local(context, context.transaction_timestamp) // DAY * DAY
    return age(midnight, value if local else instant_to_local(context, value))


def _age_tz(context: Context, left: int, right: int) -> Interval:
    return age(instant_to_local(context, left), instant_to_local(context, right))


def make_date(year: int, month: int, day: int) -> int:
    """Return the date; negative years are BC. Raises SqlError 22008."""
    astronomical = year if year > 0 else year + 1
    valid = year != 0 and 1 <= month <= 12
    if not valid or not 1 <= day <= calendar.days_in_month(astronomical, month):
        raise SqlError("22008", f"date field value out of range: {year}-{month:02d}-{day:02d}")
    return calendar.check_date(calendar.days_of(astronomical, month, day))


def make_time(hour: int, minute: int, second: float) -> int:
    """Return the time of day. Raises SqlError 22008."""
    if 0 <= hour <= 24 and 0 <= minute < 60 and 0 <= second <= 60:
        value = hour * HOUR + minute * MINUTE + round(second * 1e6)
        if value <= DAY:
            return value
    raise SqlError("22008", f"time field value out of range: {hour}:{minute:02d}:{second:02g}")


def make_timestamp(year: int, month: int, day: int, hour: int, minute: int, second: float) -> int:
    """Return the timestamp. Raises SqlError 22008."""
    return calendar.check_timestamp(
        make_date(year, month, day) * DAY + make_time(hour, minute, second)
    )


def make_interval(
    years: int, months: int, weeks: int, days: int, hours: int, minutes: int, seconds: float
) -> Interval:
    """Return the interval. Raises SqlError 22008."""
    if not math.isfinite(seconds) or not math.isfinite(seconds * 1e6):
        raise interval.out_of_range()
    micros = hours * HOUR + minutes * MINUTE + round(seconds * 1e6)
    return interval.check((years * 12 + months, weeks * 7 + days, micros))


def justify_hours(span: Interval) -> Interval:
    """Turn each 24 hours into a day, with one sign for days and time."""
    months, days, micros = span
    whole = int(micros / DAY)
    days, micros = days + whole, micros - whole * DAY
    if days > 0 > micros:
        days, micros = days - 1, micros + DAY
    elif days < 0 < micros:
        days, micros = days + 1, micros - DAY
    return interval.check((months, days, micros))


def justify_days(span: Interval) -> Interval:
    """Turn each 30 days into a month, with one sign for months and days."""
    months, days, micros = span
    whole = int(days / 30)
    months, days = months + whole, days - whole * 30
    if months > 0 > days:
        months, days = months - 1, days + 30
    elif months < 0 < days:
        months, days = months + 1, days - 30
    return interval.check((months, days, micros))


def justify_interval(span: Interval) -> Interval:
    """Justify hours and days, with one sign for all parts."""
    months, days, micros = justify_days(justify_hours(span))
    if months > 0 and (days < 0 or (days == 0 and micros < 0)):
        months, days = months - 1, days + 30
    elif months < 0 and (days > 0 or (days == 0 and micros > 0)):
        months, days = months + 1, days - 30
    if days > 0 > micros:
        days, micros = days - 1, micros + DAY
    elif days < 0 < micros:
        days, micros = days + 1, micros - DAY
    return months, days, micros


def _negative(span: Interval) -> Interval:
    return -span[0], -span[1], -span[2]


def _zone_of_interval(span: Interval) -> Zone:
    if span[0] or span[1]:
        text = interval.format_postgres(span)
        raise SqlError("22023", f'interval time zone "{text}" must not include months or days')
    return fixed_zone(span[2] // SECOND)


def _timetz_at(at: Zone, value: tuple[int, int], instant: int) -> tuple[int, int]:
    west = -at.offset_at(instant)
    return (value[0] + (value[1] - west) * SECOND) % DAY, west


def overlaps(
    end_of: Callable[..., Any],
    key: Callable[[Any], Any],
    start1: Any,
    end1: Any,
    start2: Any,
    end2: Any,
) -> bool | None:
    """Return whether two half-open periods overlap; each end may be an interval. NULL may be unknown."""
    periods: list[tuple[Any, Any]] = []
    for start, end in ((start1, end1), (start2, end2)):
        if isinstance(end, tuple) and len(end) == 3:
            end = None if start is None else end_of(start, end)
        bounds: list[Any] = [None if bound is None else key(bound) for bound in (start, end)]
        if bounds[0] is None or bounds[1] is None:
            known = bounds[1] if bounds[0] is None else bounds[0]
            periods.append((known, None))
        else:
            periods.append((min(bounds), max(bounds)))
    (low1, high1), (low2, high2) = periods
    if low1 is None or low2 is None:
        return None
    if low1 == low2:
        return None if high1 is None or high2 is None else True
    if low1 > low2:
        return (
            None if high2 is None else (True if low1 < high2 else None if high1 is None else False)
        )
    return None if high1 is None else (True if low2 < high1 else None if high2 is None else False)


def series(
    start: int, stop: int, step: Interval, add: Callable[[int, Interval], int]
) -> Iterator[int]:
    """Yield times from start to stop. Raises SqlError 22023 for a zero step."""
    direction = interval.span(step)
    if direction == 0:
        raise SqlError("22023", "step size cannot equal zero")
    while start <= stop if direction > 0 else start >= stop:
        yield start
        start = add(start, step)


def _series_tz(context: Context, start: int, stop: int, step: Interval) -> Iterator[int]:
    return series(start, stop, step, partial(add_in_zone, session_zone(context)))


def sleep(context: Context, seconds: float) -> str:
    """Wait."""
    context.pause(seconds)
    return ""


def _from_epoch(value: float) -> int:
    if math.isinf(value):
        return calendar.INFINITY if value > 0 else calendar.MINUS_INFINITY
    if math.isnan(value):
        raise SqlError("22008", "timestamp cannot be NaN")
    if not -210_866_803_200 <= value < 9_224_318_016_000:
        raise SqlError("22008", f'timestamp out of range: "{value:g}"')
    return calendar.check_timestamp(round(value * 1e6) + calendar.UNIX_EPOCH)


define(
    "now transaction_timestamp", lambda context: context.transaction_timestamp, needs_context=True
)
define("statement_timestamp", lambda context: context.statement_timestamp, needs_context=True)
define("clock_timestamp", wall_clock)
define("timeofday", _timeofday, needs_context=True)
define("age(timestamp,timestamp)", age)
define("age(timestamptz,timestamptz)", _age_tz, needs_context=True)
define("age(timestamp)", partial(_age_of, local=True), needs_context=True)
define("age(timestamptz)", partial(_age_of, local=False), needs_context=True)
define("make_date", make_date)


def _written_zone(name: str) -> Zone:
    """Return the zone that make_timestamptz names, whose numbers count east. Raises SqlError 22023."""
    if name[:1].isdigit():
        hint = 'Numeric time zones must have "-" or "+" as first character.'
        message = f'invalid input syntax for type numeric time zone: "{name}"'
        raise SqlError("22023", message, hint=hint)
    if not _NUMERIC_ZONE.fullmatch(name):
        return zone(name)
    try:
        return fixed_zone(numeric_offset(name))
    except SqlError:
        raise SqlError("22023", f'numeric time zone "{name}" out of range') from None


define("make_time", make_time)
define("make_timestamp", make_timestamp)
define("make_timestamptz(int4,int4,int4,int4,int4,float8)",
       lambda context, *parts: local_to_instant(context, make_timestamp(*parts)),
       needs_context=True)  # fmt: skip
define("make_timestamptz(int4,int4,int4,int4,int4,float8,text)",
       lambda *parts: instant_in_zone(_written_zone(parts[6]), make_timestamp(*parts[:6])))  # fmt: skip
define("make_interval", make_interval, defaults=(0, 0, 0, 0, 0, 0, 0.0))
define("justify_hours", justify_hours)
define("justify_days", justify_days)
define("justify_interval", justify_interval)
define("isfinite(date)",
       lambda days: days not in (calendar.DATE_INFINITY, calendar.DATE_MINUS_INFINITY))  # fmt: skip
define("isfinite(timestamp) isfinite(timestamptz)", lambda value: not calendar.is_infinite(value))
define("isfinite(interval)", lambda _value: True)
define("timezone(text,timestamp)", lambda name, value: instant_in_zone(zone(name), value))
define("timezone(text,timestamptz)", lambda name, value: local_in_zone(zone(name), value))
define("timezone(interval,timestamp)",
       lambda span, value: instant_in_zone(_zone_of_interval(span), value))  # fmt: skip
define("timezone(interval,timestamptz)",
       lambda span, value: local_in_zone(_zone_of_interval(span), value))  # fmt: skip
define("timezone(text,timetz)",
       lambda context, name, value: _timetz_at(zone(name), value, context.transaction_timestamp),
       needs_context=True)  # fmt: skip
define("timezone(interval,timetz)",
       lambda span, value: _timetz_at(_zone_of_interval(span), value, 0))  # fmt: skip
define("to_timestamp(float8)", _from_epoch)
define("generate_series(timestamp,timestamp,interval)", partial(series, add=add_to_timestamp))
define("generate_series(timestamptz,timestamptz,interval)", _series_tz, needs_context=True)
define("pg_sleep", sleep, needs_context=True)
define("pg_sleep_for",
       lambda context, span: sleep(context, interval.span(span) / 1e6), needs_context=True)  # fmt: skip
define("pg_sleep_until",
       lambda context, until: sleep(context, (until - wall_clock()) / 1e6), needs_context=True)  # fmt: skip
for _type in ("timestamp", "timestamptz", "time"):
    _end = (lambda start, span: (start + span[2]) % DAY) if _type == "time" else add_to_timestamp
    for _first in (_type, "interval"):
        for _second in (_type, "interval"):
            define(
                f"overlaps({_type},{_first},{_type},{_second})",
                partial(overlaps, _end, lambda value: value),
            )
define("overlaps(timetz,timetz,timetz,timetz)",
       partial(overlaps, add_to_timestamp, timetz_key))  # fmt: skip
define("current_date",
       lambda context: instant_to_local(context, context.transaction_timestamp) // DAY,
       needs_context=True)  # fmt: skip
define("current_timestamp", lambda context: context.transaction_timestamp, needs_context=True)
define("localtimestamp",
       lambda context: instant_to_local(context, context.transaction_timestamp),
       needs_context=True)  # fmt: skip
define("localtime",
       lambda context: instant_to_local(context, context.transaction_timestamp) % DAY,
       needs_context=True)  # fmt: skip


def _current_time(context: Context) -> tuple[int, int]:
    now = context.transaction_timestamp
    offset = session_zone(context).offset_at(now)
    return (now + offset * SECOND) % DAY, -offset


define("current_time", _current_time, needs_context=True)

define("date_add(timestamptz,interval)",
       lambda context, value, span: add_in_zone(session_zone(context), value, span),
       needs_context=True)  # fmt: skip
define("date_add(timestamptz,interval,text)",
       lambda value, span, name: add_in_zone(zone(name), value, span))  # fmt: skip
define("date_subtract(timestamptz,interval)",
       lambda context, value, span: add_in_zone(session_zone(context), value, _negative(span)),
       needs_context=True)  # fmt: skip
define("date_subtract(timestamptz,interval,text)",
       lambda value, span, name: add_in_zone(zone(name), value, _negative(span)))  # fmt: skip
define("generate_series(timestamptz,timestamptz,interval,text)",
       lambda start, stop, step, name: series(
           start, stop, step, partial(add_in_zone, zone(name))))  # fmt: skip
