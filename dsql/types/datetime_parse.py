"""Dates, times and timestamps from text, in every common spelling that PostgreSQL takes.

A text is cut into tokens (numbers, dates, times, words, zones), then read in order, each token taking the
first meaning that fits, like PostgreSQL's ParseDateTime and DecodeDateTime: month names fix the
month, three-part dates are read by DateStyle, a lone number is a packed date, a Julian day or a year.
"""

from __future__ import annotations

import re
import time as clock
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field

from dsql.errors import SqlError
from dsql.types import calendar
from dsql.types.calendar import DAYS, MONTHS
from dsql.types.timezone import Zone, find_abbreviation, find_zone

_NAMED = "|".join(name[:3] for name in (*MONTHS, *DAYS))
_TOKEN = re.compile(
    r"\s*(?:"
    r"(?P<iso>\d{4,6}-\d{1,2}-\d{1,2}(?=[T\s]|$))"
    r"|(?P<time>\d{1,7}:\d{1,2}(?::\d{1,2}(?:\.\d*)?)?)"
    r"|(?P<date>\d{1,7}(?P<mark>[-/.])(?:\d{1,7}|[A-Za-z]{3,9})(?P=mark)\d{1,7}"
    r"|[A-Za-z]{3,9}[-/.]\d{1,2}[-/.]\d{1,6})"
    r"|(?P<ordinal>\d{4,6}[-.]\d{3}(?!\d))"
    r"|(?P<sign_zone>[+-](?:\d{1,2}(?::\d{1,2}){1,2}|\d{1,6}))"
    r"|(?P<number>\d+(?:\.\d*)?)"
    rf"|(?P<zone>[A-Za-z]+(?:[/_+-][A-Za-z0-9_+:.-]+)+|(?!(?i:{_NAMED}))[A-Za-z]{{3,}}\d[\w+:./-]*)"
    r"|(?P<word>[+-]?[A-Za-z]+\.?)"
    r"|(?P<skip>[,/;()\[\]])"
    r")"
)
_FAST = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[ T](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,6}))?)?)?"
    r"(?:(Z)|([+-]\d\d)(?::?(\d\d))?)?",
    re.ASCII,
)
_LENGTH_MAX = 128  # PostgreSQL's MAXDATELEN
_MONTH_OF = {name.lower()[:3]: number for number, name in enumerate(MONTHS, 1)}
_MONTH_OF |= {name.lower(): number for number, name in enumerate(MONTHS, 1)} | {"sept": 9}
_DAY_WORDS = {name.lower() for name in DAYS} | {name.lower()[:3] for name in DAYS}
_DAY_WORDS |= {"tues", "weds", "thur", "thurs"}
_UNITS = {"y", "m", "d", "h", "mm", "s"}
_NOISE = {"at", "on", "t", "of"}
_SPECIAL = {"now", "today", "tomorrow", "yesterday", "epoch", "infinity", "-infinity", "+infinity"}


@dataclass(slots=True)
class Fields:
    """What a text said. Year astronomical; `offset` seconds east, or `zone`; `special` a keyword."""

    year: int | None = None
    month: int | None = None
    day: int | None = None
    time: int | None = None  # microseconds of the day; 24:00 allowed
    offset: int | None = None
    zone: Zone | None = None
    special: str = ""


class _MalformedError(Exception):
    """The text has no meaning as a date or time."""


class _OutOfRangeError(Exception):
    """A field has an impossible value. `args[0]`: whether the order of day and month may be why."""


def parse_fields(text: str, type_name: str, order: str = "MDY", *, timed: bool = False) -> Fields:
    """Read a date, time or timestamp. `order` is DateStyle's: MDY, DMY or YMD.

    `timed`: six digits are a time and no date.

    Raises SqlError 22007 (malformed), 22008 (out of range), 22009 (zone displacement).
    """
    match = _FAST.fullmatch(text)
    try:
        if len(text) > _LENGTH_MAX:
            raise _MalformedError
        if match and match[3] != "00" and match[2] != "00" and match[1] != "0000":
            return _from_iso(match)
        return _Reader(order, time_begins=timed).read(text)
    except _MalformedError:
        raise SqlError("22007", f'invalid input syntax for type {type_name}: "{text}"') from None
    except _OutOfRangeError as error:
        raise SqlError(
            "22008",
            f'date/time field value out of range: "{text}"',
            hint='Perhaps you need a different "datestyle" setting.' if error.args[0] else "",
        ) from None


def _from_iso(match: re.Match[str]) -> Fields:
    year, month, day, hour, minute, second, fraction, zulu, offset_hours, offset_minutes = (
        match.groups()
    )
    fields = Fields(int(year), int(month), int(day))
    _check_date(fields)
    if hour is not None:
        micros = int(fraction.ljust(6, "0")) if fraction else 0
        fields.time = _time_of(int(hour), int(minute), int(second or 0), micros)
    if zulu:
        fields.offset = 0
    elif offset_hours:
        fields.offset = numeric_offset(
            offset_hours + (":" + offset_minutes if offset_minutes else "")
        )
    return fields


def _time_of(hour: int, minute: int, second: int, micros: int) -> int:
    """Return microseconds of the day; a 60th second and 24:00:00 are let through."""
    value = ((hour * 60 + minute) * 60 + second) * 1_000_000 + micros
    if minute > 59 or second > 60 or value > calendar.DAY:
        raise _OutOfRangeError(False)
    return value


def _check_date(fields: Fields) -> None:
    assert fields.year is not None
    assert fields.month is not None
    assert fields.day is not None
    if not 1 <= fields.month <= 12:
        raise _OutOfRangeError(True)
    if not 1 <= fields.day <= 31:
        raise _OutOfRangeError(True)
    if fields.day > calendar.days_in_month(fields.year, fields.month):
        raise _OutOfRangeError(False)


def numeric_offset(text: str) -> int:
    """Read "+5", "+0530", "-05:30:15" as seconds east. Raises SqlError 22009."""
    parts = text[1:].split(":")
    if len(parts) == 1 and len(parts[0]) > 2:
        digits = parts[0].rjust(4 if len(parts[0]) <= 4 else 6, "0")
        parts = [digits[at : at + 2] for at in range(0, len(digits), 2)]
    hours, minutes, seconds = (*map(int, parts), 0, 0)[:3]
    if hours > 15 or minutes > 59 or seconds > 59:
        raise SqlError("22009", f'time zone displacement out of range: "{text}"')
    total = hours * 3600 + minutes * 60 + seconds
    return -total if text[0] == "-" else total


@dataclass(slots=True)
class _Reader:
    """Reads the tokens of one text into Fields."""

    order: str
    fields: Fields = field(default_factory=Fields)
    meridian: str = ""
    before_christ: bool = False
    numbers: list[str] = field(default_factory=list)
    year_first: bool = False
    time_begins: bool = False  # behind a T
    unit: str = ""  # of the number that comes
    seen: int = 0

    def read(self, text: str) -> Fields:
        position = 0
        text = text.strip(" \t\n\r\v\f")
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                raise _MalformedError
            kind, token = match.lastgroup or "", match[match.lastgroup or 0]
            position = match.end()
            getattr(self, f"take_{kind}")(token)
            self.seen += 1
        self.finish()
        return self.fields

    # Each take_<kind> reads a token of the group of that name in _TOKEN.

    def take_skip(self, token: str) -> None:
        pass

    def take_iso(self, token: str) -> None:
        self.take_date(token)

    def take_time(self, token: str) -> None:
        if self.fields.time is not None:
            raise _MalformedError
        hours, minutes, *rest = token.split(":")
        seconds, _, fraction = (rest[0] if rest else "0").partition(".")
        micros = round(float("0." + (fraction or "0")) * 1e6)
        self.fields.time = _time_of(int(hours), int(minutes), int(seconds), micros)

    def take_date(self, token: str) -> None:
        if self.fields.year is not None or self.numbers:
            raise _MalformedError
        parts = re.split(r"[-/.]", token)
        names = [at for at, part in enumerate(parts) if part.isalpha()]
        if names:
            self.set_month(parts.pop(names[0]))
        self.numbers = parts

    def take_ordinal(self, token: str) -> None:
        if self.has_date() or self.time_begins:
            self.take_number(token)
            return
        year, day = re.split(r"[-.]", token)
        self.from_days(calendar.days_of(int(year), 1, 1) + int(day) - 1)

    def take_sign_zone(self, token: str) -> None:
        if self.fields.offset is not None or self.fields.zone is not None:
            raise _MalformedError
        if self.fields.time is None and not (self.fields.year is not None or self.numbers):
            raise _MalformedError
        self.fields.offset = numeric_offset(token)

    def take_zone(self, token: str) -> None:
        if find_zone(token) is None:
            raise SqlError("22023", f'time zone "{token.lower()}" not recognized')
        self.fields.zone = find_zone(token)

    def take_number(self, token: str) -> None:
        whole, point, fraction = token.partition(".")
        if self.unit:
            self.take_unit(whole, fraction)
            return
        is_clock = self.has_date() or self.time_begins
        if is_clock and self.fields.time is None and len(whole) in (4, 6):
            hours, minutes, seconds = int(whole[:2]), int(whole[2:4]), int(whole[4:] or 0)
            micros = round(float("0." + (fraction or "0")) * 1e6)
            self.fields.time = _time_of(hours, minutes, seconds, micros)
        elif point:
            raise _MalformedError
        elif len(whole) >= 8 and not self.numbers:
            self.numbers = [whole[:-4], whole[-4:-2], whole[-2:]]
            self.year_first = True
        elif len(whole) == 6 and not self.numbers and self.fields.month is None:
            self.numbers = [whole[:2], whole[2:4], whole[4:]]
            self.year_first = True
        else:
            self.numbers.append(whole)

    def has_date(self) -> bool:
        known = len(self.numbers) + (self.fields.month is not None)
        return self.fields.day is not None or known >= 3

    def take_unit(self, whole: str, fraction: str) -> None:
        """Take a number behind its unit, as in Y2001M12D27H04MM05S06.789."""
        unit, self.unit = self.unit, ""
        fields = self.fields
        if unit == "y":
            fields.year = int(whole)
        elif unit == "d":
            fields.day = int(whole)
        elif unit == "m" and fields.time is None:
            fields.month = int(whole)
        else:
            size = {"h": calendar.HOUR, "m": calendar.MINUTE, "mm": calendar.MINUTE}.get(unit)
            micros = round(float("0." + (fraction or "0")) * 1e6)
            passed = int(whole) * (size or calendar.SECOND) + micros
            fields.time = (fields.time or 0) + passed

    def take_word(self, token: str) -> None:
        word = token.lower().rstrip(".")
        if word == "t":
            self.time_begins = True
        if word in _UNITS and not self.unit:
            self.unit = word
            return
        if word in ("am", "pm"):
            self.meridian = word
        elif word in ("ad", "bc"):
            self.before_christ = word == "bc"
        elif word in _MONTH_OF:
            self.set_month(word)
        elif word in _SPECIAL and not self.fields.special:
            self.fields.special = word.lstrip("+")
        elif word == "allballs":
            self.fields.time, self.fields.offset = 0, 0
        elif re.fullmatch("j|julian|jd", word) and not self.numbers:
            self.numbers = ["julian"]
        elif word in _NOISE or word in _DAY_WORDS:
            return
        elif (abbreviation := find_abbreviation(token)) is not None:
            self.fields.offset, self.fields.zone = abbreviation.fixed, abbreviation
        elif find_zone(token) is not None and self.seen:
            self.fields.zone = find_zone(token)
        else:
            raise _MalformedError

    def set_month(self, name: str) -> None:
        number = _MONTH_OF.get(name.lower())
        if number is None or self.fields.month is not None:
            raise _MalformedError
        self.fields.month = number

    def from_days(self, days: int) -> None:
        self.fields.year, self.fields.month, self.fields.day = calendar.date_of(days)

    def finish(self) -> None:
        fields = self.fields
        if not self.seen or self.unit:
            raise _MalformedError
        if fields.year is not None and not self.numbers:
            if fields.month is None or fields.day is None:
                raise _MalformedError
            _check_date(fields)
        if self.numbers[:1] == ["julian"]:
            if len(self.numbers) != 2:
                raise _MalformedError
            self.from_days(int(self.numbers[1]) - calendar.JULIAN_EPOCH_DAYS)
        elif (self.numbers or fields.month is not None) and fields.day is None:
            self.resolve_numbers()
        if self.meridian:
            self.apply_meridian()
        has_date = fields.year is not None
        if not (has_date or fields.special or fields.time is not None):
            raise _MalformedError
        if fields.special and has_date:
            raise _MalformedError

    def resolve_numbers(self) -> None:
        """Say which number is the year, which the month and which the day."""
        fields, numbers = self.fields, self.numbers
        if len(numbers) != (3 if fields.month is None else 2):
            raise _MalformedError
        if fields.month is not None:
            year_at = (
                0 if len(numbers[0]) > 2 or (self.order == "YMD" and len(numbers[1]) <= 2) else 1
            )
            year, day = numbers[year_at], numbers[1 - year_at]
        elif self.year_first or len(numbers[0]) > 2 or self.order == "YMD":
            year, fields.month, day = numbers[0], int(numbers[1]), numbers[2]
            self.year_first = True
        elif self.order == "DMY":
            day, fields.month, year = numbers[0], int(numbers[1]), numbers[2]
        else:
            fields.month, day, year = int(numbers[0]), numbers[1], numbers[2]
        fields.day = int(day)
        fields.year = int(year)
        if self.before_christ:
            if fields.year <= 0:
                raise _OutOfRangeError(False)
            fields.year = 1 - fields.year
        elif len(year) <= 2:
            fields.year += 2000 if fields.year < 70 else 1900
        elif fields.year == 0:
            raise _OutOfRangeError(False)
        _check_date(fields)

    def apply_meridian(self) -> None:
        fields = self.fields
        if fields.time is None:
            raise _MalformedError
        if fields.time >= 13 * calendar.HOUR:
            raise _OutOfRangeError(False)
        noon = fields.time >= 12 * calendar.HOUR
        fields.time += calendar.HOUR * ((12 if self.meridian == "pm" else 0) - (12 if noon else 0))


_clock: ContextVar[Callable[[], int]] = ContextVar("_clock")


def install_clock(now: Callable[[], int]) -> None:
    """Have "now", "today" and their kind mean this time, in microseconds since 2000-01-01 UTC.

    A session installs the start of its transaction; where nobody has, it is the wall clock's time.
    """
    _clock.set(now)


def _wall_clock() -> int:
    return clock.time_ns() // 1000 + calendar.UNIX_EPOCH


def local_now(at: Zone) -> int:
    """Return what "now" is in a zone, microseconds since 2000-01-01."""
    instant = _clock.get(_wall_clock)()
    return instant + at.offset_at(instant) * 1_000_000
