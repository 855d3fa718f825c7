"""The date, time or instant that fields read along a template make up, and the functions that read so.

The rules are those of do_to_timestamp and parse_datetime in PostgreSQL's formatting.c.
"""

from __future__ import annotations

from dataclasses import dataclass

from dsql.errors import SqlError
from dsql.functions.date_pieces import Piece, parse_template
from dsql.functions.date_template_input import TemplateFields, read_fields
from dsql.functions.definition import define
from dsql.functions.function import Context
from dsql.functions.timestamps import session_zone
from dsql.types import calendar, oids
from dsql.types.calendar import DAY, HOUR, MINUTE, SECOND
from dsql.types.typmod import round_micros

_ZONE_HOURS_MAX = 15
_TIMED = frozenset(
    """A.M. P.M. AM PM HH HH12 HH24 MI SS MS US FF1 FF2 FF3 FF4 FF5 FF6 SSSS SSSSS""".split()
)
_UNDATED = _TIMED | {"FX", "TZH", "TZM"}


@dataclass(slots=True)
class _Date:
    """A date in the making; `known` are the parts that have to be valid. Year astronomical."""

    year: int = 0
    month: int = 1
    day: int = 1
    known: frozenset[str] = frozenset()

    def know(self, *parts: str) -> None:
        self.known |= set(parts)

    def become(self, days: int) -> None:
        self.year, self.month, self.day = calendar.date_of(days)
        self.know("year", "month", "day")


@dataclass(frozen=True, slots=True)
class Reading:
    """Days since 2000-01-01, microseconds of the day, seconds east if given, FF's digits or 0."""

    days: int
    micros: int
    offset: int | None
    precision: int


def read_template(text: str, pieces: tuple[Piece, ...], *, standard: bool = False) -> Reading:
    """Read a text along a template. Raises SqlError 22007, 22008, 22009."""
    fields = read_fields(text, pieces, standard=standard)
    hour, minute, second = _clock(fields)
    date = _date(fields)
    fraction = fields.millisecond * 1000 + fields.microsecond
    is_time = 0 <= hour < 24 and 0 <= minute < 60 and 0 <= second < 60 and 0 <= fraction < SECOND
    if not _is_valid(date) or not is_time:
        raise SqlError("22008", f'date/time field value out of range: "{text}"')
    return Reading(
        calendar.days_of(date.year, date.month, date.day),
        hour * HOUR + minute * MINUTE + second * SECOND + fraction,
        _offset(fields, text),
        fields.precision,
    )


def _clock(fields: TemplateFields) -> tuple[int, int, int]:
    hour, rest = divmod(fields.second_of_day, 3600)
    minute, second = divmod(rest, 60)
    hour = fields.hour or hour
    if fields.clock_of_12:
        if not 1 <= hour <= 12:
            raise SqlError(
                "22007",
                f'hour "{hour}" is invalid for the 12-hour clock',
                hint="Use the 24-hour clock, or give an hour between 1 and 12.",
            )
        hour = hour % 12 + (12 if fields.afternoon else 0)
    return hour, fields.minute or minute, fields.second or second


def _date(fields: TemplateFields) -> _Date:
    date = _Date()
    if fields.year or fields.century:
        date.year = _year(fields)
        date.know("year")
    if fields.julian_day:
        date.become(fields.julian_day - calendar.JULIAN_EPOCH_DAYS)
    day_of_year = fields.day_of_year
    if fields.week and fields.convention == "week":
        date.become(_week_start(date.year, fields.week) + (fields.weekday or 2) - 2)
        if fields.weekday == 1:
            date.become(_week_start(date.year, fields.week) + 6)
    elif fields.week:
        day_of_year = (fields.week - 1) * 7 + 1
    day = (fields.week_of_month - 1) * 7 + 1 if fields.week_of_month else fields.day
    if day:
        date.day = day
        date.know("day")
    if fields.month:
        date.month = fields.month
        date.know("month")
    if day_of_year and (date.month <= 1 or date.day <= 1):
        _set_day_of_year(date, day_of_year, fields)
    return date


def _year(fields: TemplateFields) -> int:
    """Return the astronomical year. A century (21: 2001 to 2100) is completed by a year of two digits."""
    century = -fields.century if fields.before_christ else fields.century
    if not fields.year:
        return (century - 1) * 100 + 1 if century >= 0 else century * 100 + 1
    if not fields.century or fields.year_digits > 2:
        year = -fields.year if fields.before_christ else fields.year
        return year + 1 if year < 0 else year
    year = fields.year % 100
    if not year:
        return century * 100 + (0 if century >= 0 else 1)
    return year + (century - 1) * 100 if century >= 0 else (century + 1) * 100 - year + 1


def _week_start(year: int, week: int) -> int:
    """Return the Monday of an ISO week."""
    first = calendar.days_of(year, 1, 4)
    return first - (first + 5) % 7 + (week - 1) * 7


def _set_day_of_year(date: _Date, day_of_year: int, fields: TemplateFields) -> None:
    if not date.year and not fields.before_christ:
        raise SqlError("22007", "cannot calculate day of year without year information")
    if fields.convention == "week":
        date.become(_week_start(date.year, 1) + day_of_year - 1)
        return
    month, left = 1, day_of_year
    while month <= 12 and left > calendar.days_in_month(date.year, month):
        left -= calendar.days_in_month(date.year, month)
        month += 1
    date.month = month if date.month <= 1 else date.month
    date.day = left if date.day <= 1 else date.day
    date.know("month", "day")


def _is_valid(date: _Date) -> bool:
    if "month" in date.known and not 1 <= date.month <= 12:
        return False
    if "day" in date.known and not 1 <= date.day <= 31:
        return False
    return len(date.known) < 3 or date.day <= calendar.days_in_month(date.year, date.month)


def _offset(fields: TemplateFields, text: str) -> int | None:
    if not fields.zone_sign:
        return None
    if not 0 <= fields.zone_hours <= _ZONE_HOURS_MAX or not 0 <= fields.zone_minutes < 60:
        raise SqlError("22009", f'time zone displacement out of range: "{text}"')
    return fields.zone_sign * (fields.zone_hours * 3600 + fields.zone_minutes * 60)


def template_type(pieces: tuple[Piece, ...]) -> int:
    """Return the OID of the type that a template reads. Raises SqlError 22007 and 0A000."""
    names = {piece.name.upper() for piece in pieces if piece.name}
    for piece in pieces:
        if piece.name.upper() in ("TZ", "OF"):
            what = f'formatting field "{piece.name}" is only supported in to_char'
            raise SqlError("0A000", what)
    dated, timed, zoned = names - _UNDATED, names & _TIMED, names & {"TZH", "TZM"}
    if dated and timed:
        return oids.TIMESTAMPTZ if zoned else oids.TIMESTAMP
    if dated and zoned:
        raise SqlError("22007", "datetime format is zoned but not timed")
    if not dated and not timed:
        raise SqlError("22007", "datetime format is not dated and not timed")
    if dated:
        return oids.DATE
    return oids.TIMETZ if zoned else oids.TIME


def to_date(text: str, template: str) -> int:
    """Return to_date. Raises SqlError 22007, 22008."""
    days = read_template(text, parse_template(template)).days
    if not calendar.DATE_MIN <= days < calendar.DATE_END:
        raise SqlError("22008", f'date out of range: "{text}"')
    return days


def to_timestamp(context: Context, text: str, template: str) -> int:
    """Return to_timestamp, in the session's zone if the text has none. Raises SqlError 22007, 22008."""
    reading = read_template(text, parse_template(template))
    local = reading.days * DAY + reading.micros
    offset = reading.offset
    if offset is None:
        offset = session_zone(context).offset_of_local(local)
    value = calendar.check_timestamp(local - offset * SECOND)
    return round_micros(value, reading.precision) if reading.precision else value


define("to_date", to_date)
define("to_timestamp(text,text)", to_timestamp, needs_context=True)
