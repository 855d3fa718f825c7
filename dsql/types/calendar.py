"""The proleptic Gregorian calendar over PostgreSQL's range, and the limits of the date/time types.

Years are astronomical: 0 is 1 BC. Days count from 2000-01-01, times in microseconds.
"""

from __future__ import annotations

from functools import lru_cache

from dsql.errors import SqlError

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
UNIX_EPOCH_DAYS = -10_957  # 1970-01-01
UNIX_EPOCH = UNIX_EPOCH_DAYS * DAY
JULIAN_EPOCH_DAYS = 2_451_545  # Julian day number of 2000-01-01

DATE_INFINITY, DATE_MINUS_INFINITY = 2**31 - 1, -(2**31)
INFINITY, MINUS_INFINITY = 2**63 - 1, -(2**63)
DATE_MIN, DATE_END = -2_451_545, 2_145_031_949  # 4714-11-24 BC up to 5874898-01-01
TIMESTAMP_MIN, TIMESTAMP_END = -211_813_488_000_000_000, 9_223_371_331_200_000_000

MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_MONTH_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def is_leap(year: int) -> bool:
    """Return whether the astronomical year has a 29th of February."""
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def days_in_month(year: int, month: int) -> int:
    """Return how many days the month has."""
    return 29 if month == 2 and is_leap(year) else _MONTH_DAYS[month - 1]


def days_of(year: int, month: int, day: int) -> int:
    """Return days since 2000-01-01. The fields must be valid."""
    # Years start in March here, so that the leap day is the last one: its place follows from the
    # month by a linear formula (Hinnant's days_from_civil).
    if month <= 2:
        year -= 1
    era, year_of_era = divmod(year, 400)
    day_of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return (
        era * 146_097
        + year_of_era * 365
        + year_of_era // 4
        - year_of_era // 100
        + day_of_year
        - 730_425
    )


@lru_cache(8192)
def date_of(days: int) -> tuple[int, int, int]:
    """Return (year, month, day) of days since 2000-01-01."""
    era, day_of_era = divmod(days + 730_425, 146_097)
    year_of_era = (
        day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096
    ) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * day_of_year + 2) // 153
    month = shifted + 3 if shifted < 10 else shifted - 9
    year = era * 400 + year_of_era + (month <= 2)
    return year, month, day_of_year - (153 * shifted + 2) // 5 + 1


def weekday(days: int) -> int:
    """Return the day of the week, Sunday 0."""
    return (days + 6) % 7


def iso_week(days: int) -> tuple[int, int]:
    """Return (ISO year, ISO week)."""
    thursday = days - (days + 5) % 7 + 3
    year = date_of(thursday)[0]
    return year, (thursday - days_of(year, 1, 1)) // 7 + 1


def day_of_year(days: int) -> int:
    """Return the day of the year, from 1."""
    return days - days_of(date_of(days)[0], 1, 1) + 1


def check_timestamp(value: int) -> int:
    """Return a finite timestamp if it is in range. Raises SqlError 22008."""
    if TIMESTAMP_MIN <= value < TIMESTAMP_END:
        return value
    raise SqlError("22008", "timestamp out of range")


def check_date(value: int) -> int:
    """Return a finite date if it is in range. Raises SqlError 22008."""
    if DATE_MIN <= value < DATE_END:
        return value
    raise SqlError("22008", "date out of range")


def is_infinite(value: int) -> bool:
    """Return whether a timestamp is infinity or -infinity."""
    return value in (INFINITY, MINUS_INFINITY)
