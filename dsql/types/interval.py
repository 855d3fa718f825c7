"""Intervals: (months, days, microseconds), read and written in PostgreSQL's four IntervalStyles.

Days are not 24 hours and months not 30 days until a comparison or a fraction forces it: "1.5 months" is
1 month 15 days, and '1 month' = '30 days' is true.
"""

from __future__ import annotations

import re
from fractions import Fraction

from dsql.errors import SqlError
from dsql.types.calendar import DAY, HOUR, MINUTE, SECOND

Interval = tuple[int, int, int]

# Bits of a typmod's range, as in PostgreSQL's utils/datetime.h.
MONTH_BIT, YEAR_BIT, DAY_BIT = 1 << 1, 1 << 2, 1 << 3
HOUR_BIT, MINUTE_BIT, SECOND_BIT = 1 << 10, 1 << 11, 1 << 12
FULL_RANGE = 0x7FFF

_INT4 = range(-(2**31), 2**31)
_INT8 = range(-(2**63), 2**63)
_YEARS, _MONTHS, _DAYS, _MICROS = 0, 1, 2, 3
_FIELDS = (_INT4, _INT4, _INT4, _INT8)  # what each of them may hold while a text is read
_UNITS: dict[str, tuple[int, int]] = {}
for _part, _size, _spellings in (
    (_YEARS, 1000, "millennium millennia mil mils millenniums"),
    (_YEARS, 100, "century centuries cent c"),
    (_YEARS, 10, "decade decades dec decs"),
    (_YEARS, 1, "year years yr yrs y"),
    (_MONTHS, 1, "month months mon mons"),
    (_DAYS, 7, "week weeks w"),
    (_DAYS, 1, "day days d"),
    (_MICROS, HOUR, "hour hours hr hrs h"),
    (_MICROS, MINUTE, "minute minutes min mins m"),
    (_MICROS, SECOND, "second seconds sec secs s"),
    (_MICROS, 1000, "millisecond milliseconds msec msecs msecond mseconds ms"),
    (_MICROS, 1, "microsecond microseconds usec usecs usecond useconds us"),
):
    _UNITS |= dict.fromkeys(_spellings.split(), (_part, _size))

_TOKEN = re.compile(
    r"\s*(?:(?P<time>[+-]?\s*\d+:\d+(?::\d+(?:\.\d*)?|\.\d+)?(?![\d.:]))|(?P<yearmonth>[+-]?\s*\d+-\d+)"
    r"|(?P<number>[+-]?\s*(?:\d+\.?\d*|\.\d+))|(?P<word>[A-Za-z]+)|(?P<skip>[@,]))\s*"
)
_ISO = re.compile(
    r"P(?:([-+]?[\d.]+)Y)?(?:([-+]?[\d.]+)M)?(?:([-+]?[\d.]+)W)?(?:([-+]?[\d.]+)D)?"
    r"(?:T(?:([-+]?[\d.]+)H)?(?:([-+]?[\d.]+)M)?(?:([-+]?[\d.]+)S)?)?"
)
_ISO_ALTERNATIVE = re.compile(
    r"P(\d{4})-(\d\d?)-(\d\d?)T(\d\d?):(\d\d?):(\d\d?(?:\.\d+)?)", re.ASCII
)
_ONE_MINUS = re.compile(r"-[^-+]*$")
_ISO_UNITS = ("year", "month", "week", "day", "hour", "minute", "second")
_RANGE_UNITS = (
    (SECOND_BIT, "second"),
    (MINUTE_BIT, "minute"),
    (HOUR_BIT, "hour"),
    (DAY_BIT, "day"),
    (MONTH_BIT, "month"),
    (YEAR_BIT, "year"),
)


def out_of_range() -> SqlError:
    """Return the error of an interval that does not fit."""
    return SqlError("22008", "interval out of range")


def _field_overflow() -> SqlError:
    return SqlError("22015", "interval field value out of range")


def check(value: Interval) -> Interval:
    """Return `value` if its parts fit into int4, int4 and int8. Raises SqlError 22008."""
    months, days, micros = value
    if months not in _INT4 or days not in _INT4 or micros not in _INT8:
        raise out_of_range()
    return value


def span(value: Interval) -> int:
    """Return the interval in microseconds with 30-day months and 24-hour days: its sort key."""
    return (value[0] * 30 + value[1]) * DAY + value[2]


Exact = Fraction | int  # whole numbers stay int, which is ten times as fast


def from_units(months: Exact, days: Exact, micros: Exact) -> Interval:
    """Spill fractions of months into days and of days into microseconds, then check the range."""
    whole_months = int(months)
    days += (months - whole_months) * 30
    whole_days = int(days)
    micros += (days - whole_days) * DAY
    return check((whole_months, whole_days, _round(micros)))


def _round(value: Exact) -> int:
    return round(value)


def parse_interval(text: str, range_bits: int = FULL_RANGE, style: str = "postgres") -> Interval:
    """Read an interval. `range_bits`: the fields of `interval day to second`, for bare numbers.

    In the style sql_standard a minus in front, if it is the only sign, is that of all fields.
    Raises SqlError 22007, 22015 for a field that is too great, or 22008 for their sum.
    """
    word = text.strip(" \t\n\r\v\f")
    try:
        if word.startswith("P") and len(word) > 1:
            return _parse_iso(word)
        all_negative = style == "sql_standard" and _ONE_MINUS.match(word) is not None
        return _Reader(range_bits, -1 if all_negative else 1).read(
            word.removeprefix("-" * all_negative)
        )
    except (_MalformedError, OverflowError, ValueError):
        raise SqlError("22007", f'invalid input syntax for type interval: "{text}"') from None
    except SqlError as error:
        if error.sqlstate != "22015":
            raise
        raise SqlError("22015", f'{error.message}: "{text}"') from None


class _MalformedError(Exception):
    """The text is no interval."""


def _parse_iso(text: str) -> Interval:
    alternative = _ISO_ALTERNATIVE.fullmatch(text)
    if alternative:
        years, months, days, hours, minutes, seconds = (
            Fraction(part) for part in alternative.groups()
        )
        micros = hours * HOUR + minutes * MINUTE + seconds * SECOND
        return _summed([years, months, days, micros])
    match = _ISO.fullmatch(text)
    if not match or text.endswith("T"):
        raise _MalformedError
    sums: list[Exact] = [0] * 4
    for unit, number in zip(_ISO_UNITS, match.groups(), strict=True):
        if number:
            _add(sums, _exact(number), unit)
    return _summed(sums)


def _exact(number: str) -> Exact:
    return Fraction(number) if "." in number or "e" in number.lower() else int(number)


def _add(sums: list[Exact], number: Exact, unit: str) -> None:
    """Add `number` units. Fractions of years and longer round to whole months. Raises SqlError 22015."""
    part, size = _UNITS[unit]
    amount = number * size
    if part == _YEARS:
        whole = int(number) * size
        sums[_MONTHS] += round((amount - whole) * 12)
        amount = whole
    sums[part] += amount
    _check_field(sums, part)


def _check_field(sums: list[Exact], part: int) -> None:
    if int(sums[part]) not in _FIELDS[part]:
        raise _field_overflow()


def _summed(sums: list[Exact]) -> Interval:
    years, months, days, micros = sums
    return from_units(years * 12 + months, days, micros)


def _key(unit: str) -> str:
    """Return what stands for a field, however it is spelled."""
    part, size = _UNITS[unit]
    return f"{part}/{size}"


_SECONDS = [_key(unit) for unit in ("second", "millisecond", "microsecond")]


class _Reader:
    """Reads the verbose and SQL-standard spellings: "1 year 2 mons", "1-2 3 4:05:06", "... ago"."""

    def __init__(self, range_bits: int, sign: int) -> None:
        self.range_bits = range_bits
        self.sign = sign  # of all numbers
        self.sums: list[Exact] = [0] * 4
        self.pending: Exact | None = None  # a number whose unit may follow
        self.seen: set[str] = set()

    def read(self, text: str) -> Interval:
        position, ago = 0, False
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None or ago:
                raise _MalformedError
            position = match.end()
            kind = match.lastgroup or ""
            token = "".join(match[kind].split())  # a sign may stand apart
            if kind == "number":
                days_first = ":" in text or self.smallest_unit() == "hour"
                self.flush("day" if self.range_bits & DAY_BIT and days_first else "")
                self.pending = self.sign * _exact(token)
            elif kind == "word" and token.lower() == "ago":
                ago = True
            elif kind == "word":
                self.take_unit(token.lower())
            elif kind == "time":
                self.flush("day")
                self.take_time(token)
            elif kind == "yearmonth":
                self.flush("")
                sign = -1 if token.startswith("-") else self.sign
                years, months = token.lstrip("+-").split("-")
                self.note(_key("month"))
                if int(months) > 11:
                    raise _field_overflow()
                _add(self.sums, sign * (int(years) * 12 + int(months)), "month")
        self.flush("")
        if not self.seen:
            raise _MalformedError
        if ago:
            self.sums = [-part for part in self.sums]
            for part in range(4):
                _check_field(self.sums, part)
        return _summed(self.sums)

    def note(self, *fields: str) -> None:
        """Note fields that were read, each of which may be there once."""
        if not self.seen.isdisjoint(fields):
            raise _MalformedError
        self.seen.update(fields)

    def take_unit(self, unit: str) -> None:
        if unit not in _UNITS or self.pending is None:
            raise _MalformedError
        fields = [_key(unit)]
        if fields == [_SECONDS[0]] and self.pending != int(self.pending):
            fields = _SECONDS
        self.note(*fields)
        _add(self.sums, self.pending, unit)
        self.pending = None

    def flush(self, unit: str) -> None:
        """Give a number without a unit the smallest field of the range, seconds by default."""
        if self.pending is None:
            return
        self.take_unit(unit or self.smallest_unit())

    def smallest_unit(self) -> str:
        bits = self.range_bits & ~0x1 if self.range_bits != FULL_RANGE else SECOND_BIT
        return next((name for bit, name in _RANGE_UNITS if bits & bit), "second")

    def take_time(self, token: str) -> None:
        self.note(_key("hour"), _key("minute"), *_SECONDS)
        signed = token.startswith(("+", "-"))
        try:
            self.add_time(token, -1 if token.startswith("-") else self.sign)
        except SqlError:
            if signed:  # which makes it something else to PostgreSQL, and that is malformed
                raise _MalformedError from None
            raise

    def add_time(self, token: str, sign: int) -> None:
        parts = token.lstrip("+-").split(":")
        minutes_to_seconds = self.range_bits == MINUTE_BIT | SECOND_BIT or "." in parts[-1]
        if len(parts) == 2 and minutes_to_seconds:
            parts.insert(0, "0")
        hours, minutes, seconds = (*parts, "0")[:3]
        if int(minutes) > 59 or Fraction(seconds or "0") >= 61:
            raise _field_overflow()
        total = int(hours) * HOUR + int(minutes) * MINUTE
        self.sums[_MICROS] += sign * (total + round(Fraction(seconds) * SECOND))
        _check_field(self.sums, _MICROS)


def _split_time(micros: int) -> tuple[int, int, int, int]:
    """Return (hours, minutes, seconds, microseconds) of a non-negative time."""
    seconds, fraction = divmod(micros, SECOND)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return hours, minutes, seconds, fraction


def _fraction(micros: int) -> str:
    return f".{micros:06d}".rstrip("0") if micros else ""


def format_postgres(value: Interval) -> str:
    """Return "1 year 2 mons -3 days +04:05:06"."""
    months, days, micros = value
    years = int(months / 12)
    parts: list[str] = []
    negative = False
    for number, unit in ((years, "year"), (months - years * 12, "mon"), (days, "day")):
        if number:
            plus = "+" if negative and number > 0 else ""
            parts.append(f"{plus}{number} {unit}{'' if number == 1 else 's'}")
            negative = number < 0
    if micros or not parts:
        hours, minutes, seconds, fraction = _split_time(abs(micros))
        sign = "-" if micros < 0 else "+" if negative else ""
        parts.append(f"{sign}{hours:02d}:{minutes:02d}:{seconds:02d}{_fraction(fraction)}")
    return " ".join(parts)


def format_iso_8601(value: Interval) -> str:
    """Return "P1Y2M3DT4H5M6S"."""
    months, days, micros = value
    if not any(value):
        return "PT0S"
    years = int(months / 12)
    hours, minutes, seconds, fraction = _split_time(abs(micros))
    sign = -1 if micros < 0 else 1
    date = "".join(
        f"{number}{unit}"
        for number, unit in ((years, "Y"), (months - years * 12, "M"), (days, "D"))
        if number
    )
    time = "".join(f"{sign * n}{unit}" for n, unit in ((hours, "H"), (minutes, "M")) if n)
    if seconds or fraction:
        time += f"{'-' if sign < 0 else ''}{seconds}{_fraction(fraction)}S"
    return f"P{date}{'T' if time else ''}{time}"


def format_verbose(value: Interval) -> str:
    """Return "@ 1 year 2 mons 3 days 4 hours 5 mins 6 secs", "... ago" if it starts negative."""
    months, days, micros = value
    years = int(months / 12)
    hours, minutes, seconds, fraction = _split_time(abs(micros))
    sign = -1 if micros < 0 else 1
    numbers = [
        (years, "year"), (months - years * 12, "mon"), (days, "day"),
        (sign * hours, "hour"), (sign * minutes, "min"),
    ]  # fmt: skip
    ago = next((n < 0 for n in (years, months, days, micros) if n), False)
    flip = -1 if ago else 1
    parts = [f"{flip * n} {unit}{'' if flip * n == 1 else 's'}" for n, unit in numbers if n]
    if seconds or fraction:
        minus = "-" if sign * flip < 0 else ""
        plural = "" if seconds == 1 and not fraction and not minus else "s"
        parts.append(f"{minus}{seconds}{_fraction(fraction)} sec{plural}")
    return "@ " + (" ".join(parts) or "0") + (" ago" if ago else "")


def format_sql_standard(value: Interval) -> str:
    """Return "1-2 3 4:05:06", with a sign on every part where they differ."""
    months, days, micros = value
    hours, minutes, seconds, fraction = _split_time(abs(micros))
    clock = f"{hours}:{minutes:02d}:{seconds:02d}{_fraction(fraction)}"
    if not any(value):
        return "0"
    years, rest = divmod(abs(months), 12)
    signs = {number > 0 for number in value if number}
    if len(signs) > 1 or (months and (days or micros)):
        parts = ("-" if n < 0 else "+" for n in (months, days, micros))
        month_sign, day_sign, time_sign = parts
        return f"{month_sign}{years}-{rest} {day_sign}{abs(days)} {time_sign}{clock}"
    sign = "-" if False in signs else ""
    if months:
        return f"{sign}{years}-{rest}"
    return f"{sign}{abs(days)} {clock}" if days else sign + clock


FORMATTERS = {
    "postgres": format_postgres,
    "postgres_verbose": format_verbose,
    "sql_standard": format_sql_standard,
    "iso_8601": format_iso_8601,
}
