"""extract, date_part, date_trunc and date_bin."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from dsql.errors import SqlError
from dsql.functions.definition import define
from dsql.functions.function import Context
from dsql.functions.numerics import numeric_div
from dsql.functions.timestamps import (
    date_to_timestamp,
    instant_in_zone,
    local_in_zone,
    session_zone,
)
from dsql.types import calendar
from dsql.types.calendar import DAY, HOUR, MINUTE, SECOND
from dsql.types.integer import INT8_MAX, INT8_MIN
from dsql.types.interval import Interval
from dsql.types.numeric import EXACT
from dsql.types.timezone import Zone, zone

_SYNONYMS = {
    synonym: unit
    for unit, spellings in (
        ("microseconds", "microsecond us usec usecs usecond useconds"),
        ("milliseconds", "millisecond ms msec msecs msecond mseconds"),
        ("second", "seconds s sec secs"),
        ("minute", "minutes m min mins"),
        ("hour", "hours h hr hrs"),
        ("day", "days d"),
        ("week", "weeks w"),
        ("month", "months mon mons"),
        ("quarter", "quarters qtr"),
        ("year", "years y yr yrs"),
        ("decade", "decades dec decs"),
        ("century", "centuries c cent"),
        ("millennium", "millennia mil mils"),
        ("julian", "jd j"),
        ("timezone", "tz"),
        ("timezone_hour", "timezone_h"),
        ("timezone_minute", "timezone_m"),
    )
    for synonym in spellings.split()
}
_FIELDS = frozenset(_SYNONYMS.values()) | {"epoch", "dow", "isodow", "doy", "isoyear"}
_TIME_FIELDS = frozenset(("microseconds", "milliseconds", "second", "minute", "hour"))
_INTERVAL_FIELDS = _TIME_FIELDS | {
    "day", "month", "quarter", "year", "decade", "century", "millennium", "epoch",
}  # fmt: skip
_MONOTONE = frozenset(
    ("year", "decade", "century", "millennium", "julian", "isoyear", "epoch")
)  # infinite at infinity, while the others are NULL
_INFINITY = Decimal("Infinity")


def _scaled(value: int, digits: int) -> Decimal:
    return EXACT.scaleb(Decimal(value), -digits)


def _unit(name: str, allowed: frozenset[str], type_name: str) -> str:
    """Return the canonical unit. Raises SqlError 22023 or 0A000."""
    lowered = name.lower()
    unit = _SYNONYMS.get(lowered, lowered)
    if unit in allowed:
        return unit
    if unit in _FIELDS:
        raise SqlError("0A000", f'unit "{lowered}" not supported for type {type_name}')
    raise SqlError("22023", f'unit "{lowered}" not recognized for type {type_name}')


def _of_time(unit: str, micros: int) -> Decimal:
    """Return a field of a time of day (or of an interval's time, with its sign)."""
    sign = -1 if micros < 0 else 1
    minutes, rest = divmod(abs(micros), MINUTE)
    match unit:
        case "microseconds":
            return Decimal(sign * rest)
        case "milliseconds":
            return _scaled(sign * rest, 3)
        case "second":
            return _scaled(sign * rest, 6)
        case "minute":
            return Decimal(sign * (minutes % 60))
    return Decimal(sign * (minutes // 60))


def _grouped_year(year: int, size: int) -> int:
    """Return the century (100) or millennium (1000) of an astronomical year."""
    return (year + size - 1) // size if year > 0 else -((size - 1 - (year - 1)) // size)


def _of_date(unit: str, days: int) -> int:
    """Return a field of a day."""
    year, month, day = calendar.date_of(days)
    match unit:
        case "day":
            return day
        case "month":
            return month
        case "quarter":
            return (month - 1) // 3 + 1
        case "year":
            return year if year > 0 else year - 1
        case "decade":
            return year // 10 if year >= 0 else -((8 - (year - 1)) // 10)
        case "century":
            return _grouped_year(year, 100)
        case "millennium":
            return _grouped_year(year, 1000)
        case "week":
            return calendar.iso_week(days)[1]
        case "isoyear":
            iso_year = calendar.iso_week(days)[0]
            return iso_year if iso_year > 0 else iso_year - 1
        case "dow":
            return calendar.weekday(days)
        case "isodow":
            return calendar.weekday(days) or 7
        case "doy":
            return calendar.day_of_year(days)
    return days + calendar.JULIAN_EPOCH_DAYS


_DATE_FIELDS = _FIELDS - _TIME_FIELDS - {"timezone", "timezone_hour", "timezone_minute"}
_TIMESTAMP_FIELDS = _DATE_FIELDS | _TIME_FIELDS


def _at_infinity(unit: str, positive: bool) -> Decimal | None:
    if unit not in _MONOTONE:
        return None
    return _INFINITY if positive else -_INFINITY


def extract_date(name: str, days: int) -> Decimal | None:
    """Return a field of a date. Raises SqlError 22023 or 0A000."""
    unit = _unit(name, _DATE_FIELDS, "date")
    if days in (calendar.DATE_INFINITY, calendar.DATE_MINUS_INFINITY):
        return _at_infinity(unit, days > 0)
    if unit == "epoch":
        return Decimal((days - calendar.UNIX_EPOCH_DAYS) * 86_400)
    return Decimal(_of_date(unit, days))


def _extract_local(unit: str, local: int) -> Decimal:
    days, micros = divmod(local, DAY)
    if unit in _TIME_FIELDS:
        return _of_time(unit, micros)
    if unit == "epoch":
        return _scaled(local - calendar.UNIX_EPOCH, 6)
    if unit == "julian" and micros:
        return EXACT.add(Decimal(_of_date(unit, days)), numeric_div(Decimal(micros), Decimal(DAY)))
    return Decimal(_of_date(unit, days))


def extract_timestamp(name: str, value: int) -> Decimal | None:
    """Return a field of a timestamp. Raises SqlError 22023 or 0A000."""
    unit = _unit(name, _TIMESTAMP_FIELDS, "timestamp without time zone")
    if calendar.is_infinite(value):
        return _at_infinity(unit, value > 0)
    return _extract_local(unit, value)


def _of_offset(unit: str, offset: int) -> Decimal:
    sign = -1 if offset < 0 else 1
    if unit == "timezone":
        return Decimal(offset)
    if unit == "timezone_hour":
        return Decimal(sign * (abs(offset) // 3600))
    return Decimal(sign * (abs(offset) // 60 % 60))


def extract_timestamptz(context: Context, name: str, value: int) -> Decimal | None:
    """Return a field of an instant in the session's zone. Raises SqlError 22023."""
    unit = _unit(name, _FIELDS, "timestamp with time zone")
    if calendar.is_infinite(value):
        return _at_infinity(unit, value > 0)
    offset = session_zone(context).offset_at(value)
    if unit.startswith("timezone"):
        return _of_offset(unit, offset)
    if unit == "epoch":
        return _scaled(value - calendar.UNIX_EPOCH, 6)
    return _extract_local(unit, value + offset * SECOND)


def extract_time(name: str, value: int) -> Decimal:
    """Return a field of a time. Raises SqlError 22023 or 0A000."""
    unit = _unit(name, _TIME_FIELDS | {"epoch"}, "time without time zone")
    return _scaled(value, 6) if unit == "epoch" else _of_time(unit, value)


def extract_timetz(name: str, value: tuple[int, int]) -> Decimal:
    """Return a field of a time with time zone. Raises SqlError 22023 or 0A000."""
    allowed = _TIME_FIELDS | {"epoch", "timezone", "timezone_hour", "timezone_minute"}
    unit = _unit(name, allowed, "time with time zone")
    if unit.startswith("timezone"):
        return _of_offset(unit, -value[1])
    if unit == "epoch":
        return _scaled(value[0] + value[1] * SECOND, 6)
    return _of_time(unit, value[0])


def extract_interval(name: str, span: Interval) -> Decimal:
    """Return a field of an interval. Raises SqlError 22023 or 0A000."""
    unit = _unit(name, _INTERVAL_FIELDS, "interval")
    months, days, micros = span
    years = int(months / 12)
    if unit in _TIME_FIELDS:
        return _of_time(unit, micros)
    if unit == "epoch":
        # A year counts 365.25 days here, a month 30.
        quarter_days = years * 1461 + (months - years * 12) * 120 + days * 4
        return _scaled(quarter_days * (DAY // 4) + micros, 6)
    values = {
        "day": days,
        "month": months - years * 12,
        "quarter": int((months - years * 12) / 3) + 1,
        "year": years,
        "decade": int(years / 10),
        "century": int(years / 100),
        "millennium": int(years / 1000),
    }
    return Decimal(values[unit])


def _as_float(function: Callable[..., Decimal | None]) -> Callable[..., float | None]:
    """Return the date_part form of an extract function."""

    def date_part(*arguments: Any) -> float | None:
        value = function(*arguments)
        return None if value is None else float(value)

    return date_part


_TRUNC_MONTHS = {"month": 1, "quarter": 3, "year": 12, "decade": 120}
_TRUNC_MICROS = {
    "microseconds": 1, "milliseconds": 1000, "second": SECOND, "minute": MINUTE, "hour": HOUR, "day": DAY,
}  # fmt: skip
_TRUNC_FIELDS = frozenset((*_TRUNC_MONTHS, *_TRUNC_MICROS, "week", "century", "millennium"))


def trunc_timestamp(name: str, value: int, type_name: str = "timestamp without time zone") -> int:
    """Cut a timestamp down to a unit. Raises SqlError 22023 or 0A000."""
    unit = _unit(name, _TRUNC_FIELDS, type_name)
    if calendar.is_infinite(value):
        return value
    if unit in _TRUNC_MICROS:
        size = _TRUNC_MICROS[unit]
        return value // size * size
    days = value // DAY
    if unit == "week":
        return (days - (days + 5) % 7) * DAY
    year, month, _ = calendar.date_of(days)
    if unit in ("century", "millennium"):
        # The first century began in the year 1, the one before it ended in 1 BC (year 0).
        size = 100 if unit == "century" else 1000
        return calendar.days_of((year - 1) // size * size + 1, 1, 1) * DAY
    size = _TRUNC_MONTHS[unit]
    year, month = divmod((year * 12 + month - 1) // size * size, 12)
    return calendar.days_of(year, month + 1, 1) * DAY


def trunc_in_zone(at: Zone, name: str, value: int) -> int:
    """Cut an instant down to a unit on the clock of a zone."""
    local = local_in_zone(at, value)
    cut = trunc_timestamp(name, local, "timestamp with time zone")
    if calendar.is_infinite(value):
        return value
    if local - cut < DAY and _unit(name, _TRUNC_FIELDS, "") in _TRUNC_MICROS and name != "day":
        return value - (local - cut)
    return instant_in_zone(at, cut)


def trunc_interval(name: str, span: Interval) -> Interval:
    """Cut an interval down to a unit. Raises SqlError 22023 or 0A000."""
    unit = _unit(name, _TRUNC_FIELDS - {"week"}, "interval")
    months, days, micros = span
    sizes = _TRUNC_MONTHS | {"century": 1200, "millennium": 12_000}
    if unit in sizes:
        return int(months / sizes[unit]) * sizes[unit], 0, 0
    if unit == "day":
        return months, days, 0
    size = _TRUNC_MICROS[unit]
    return months, days, (abs(micros) // size * size) * (-1 if micros < 0 else 1)


def _fits(micros: int) -> bool:
    return INT8_MIN <= micros <= INT8_MAX


def date_bin(stride: Interval, value: int, origin: int) -> int:
    """Return the start of the stride-wide bin, aligned with `origin`, that holds the timestamp."""
    if calendar.is_infinite(value):
        return value
    if calendar.is_infinite(origin):
        raise SqlError("22008", "origin out of range")
    if stride[0]:
        raise SqlError(
            "0A000", "timestamps cannot be binned into intervals containing months or years"
        )
    width = stride[1] * calendar.DAY + stride[2]
    if not (_fits(width) and _fits(value - origin)):
        raise SqlError("22008", "interval out of range")
    if width <= 0:
        raise SqlError("22008", "stride must be greater than zero")
    return calendar.check_timestamp(origin + (value - origin) // width * width)


def _trunc_named(name: str, value: int, zone_name: str) -> int:
    return trunc_in_zone(zone(zone_name), name, value)


for _type, _function in (
    ("date", extract_date),
    ("timestamp", extract_timestamp),
    ("time", extract_time),
    ("timetz", extract_timetz),
    ("interval", extract_interval),
):
    define(f"extract(text,{_type})", _function)
    if _type != "date":
        define(f"date_part(text,{_type})", _as_float(_function))
define("date_part(text,date)", _as_float(lambda n, d: extract_timestamp(n, date_to_timestamp(d))))
define("extract(text,timestamptz)", extract_timestamptz, needs_context=True)
define("date_part(text,timestamptz)", _as_float(extract_timestamptz), needs_context=True)
define("date_trunc(text,timestamp)", trunc_timestamp)
define("date_trunc(text,timestamptz)",
       lambda context, name, value: trunc_in_zone(session_zone(context), name, value),
       needs_context=True)  # fmt: skip
define("date_trunc(text,timestamptz,text)", _trunc_named)
define("date_trunc(text,interval)", trunc_interval)
define(
    "date_bin(interval,timestamp,timestamp) date_bin(interval,timestamptz,timestamptz)", date_bin
)
