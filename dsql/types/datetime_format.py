"""Dates, times and timestamps as text, in the four DateStyles."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from dsql.types import calendar
from dsql.types.calendar import DAYS, MONTHS, date_of, weekday
from dsql.types.timezone import Zone, format_offset, zone
from dsql.types.type import FormatSettings

_DAY = calendar.DAY


@lru_cache(8192)
def iso_date(days: int) -> str:
    """Return "2001-02-03" for days since 2000-01-01; years before 1 without their " BC"."""
    year, month, day = date_of(days)
    return f"{year if year > 0 else 1 - year:04d}-{month:02d}-{day:02d}"


@lru_cache(4096)
def _clock(seconds: int) -> str:
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour:02d}:{minute:02d}:{second:02d}"


def format_time(value: int) -> str:
    """Return "04:05:06.7" for microseconds of the day."""
    seconds, fraction = divmod(value, 1_000_000)
    if fraction:
        return f"{_clock(seconds)}.{fraction:06d}".rstrip("0")
    return _clock(seconds)


def format_timetz(value: tuple[int, int]) -> str:
    """Return "04:05:06+01" for (microseconds, seconds west)."""
    return format_time(value[0]) + format_offset(-value[1])


def _era(days: int) -> str:
    return " BC" if days < -730_119 else ""  # before 0001-01-01


def format_iso_date(days: int) -> str:
    """Return a date in ISO style."""
    if days in (calendar.DATE_INFINITY, calendar.DATE_MINUS_INFINITY):
        return "infinity" if days > 0 else "-infinity"
    return iso_date(days) + _era(days)


def format_iso_timestamp(value: int) -> str:
    """Return a timestamp without time zone in ISO style."""
    days, time = divmod(value, _DAY)
    if not -700_000 < days < 2_900_000:
        if calendar.is_infinite(value):
            return "infinity" if value > 0 else "-infinity"
        return f"{iso_date(days)} {format_time(time)}{_era(days)}"
    return f"{iso_date(days)} {format_time(time)}"


def _iso_timestamptz(at: Zone) -> Callable[[int], str]:
    def format_value(value: int) -> str:
        if calendar.is_infinite(value):
            return "infinity" if value > 0 else "-infinity"
        offset = at.offset_at(value)
        days, time = divmod(value + offset * 1_000_000, _DAY)
        return f"{iso_date(days)} {format_time(time)}{format_offset(offset)}{_era(days)}"

    return format_value


def _styled_date(style: str, day_first: bool) -> Callable[[int], str]:
    """Return the date part's formatter of a style that is not ISO."""
    separator = {"SQL": "/", "German": "."}.get(style, "-")
    day_first = day_first or style == "German"

    def format_value(days: int) -> str:
        year, month, day = date_of(days)
        first, second = (day, month) if day_first else (month, day)
        return f"{first:02d}{separator}{second:02d}{separator}{year if year > 0 else 1 - year:04d}"

    return format_value


def _styled_timestamp(style: str, day_first: bool, at: Zone | None) -> Callable[[int], str]:
    """Return the timestamp formatter of a style that is not ISO; `at` None: without time zone."""
    date = _styled_date(style, day_first)

    def format_value(value: int) -> str:
        if calendar.is_infinite(value):
            return "infinity" if value > 0 else "-infinity"
        local = value + (at.offset_at(value) * 1_000_000 if at else 0)
        days, time = divmod(local, _DAY)
        suffix = (f" {at.abbreviation_at(value)}" if at else "") + _era(days)
        if style != "Postgres":
            return f"{date(days)} {format_time(time)}{suffix}"
        year, month, day = date_of(days)
        name = MONTHS[month - 1][:3]
        month_day = f"{day:02d} {name}" if day_first else f"{name} {day:02d}"
        year = year if year > 0 else 1 - year
        return f"{DAYS[weekday(days)][:3]} {month_day} {format_time(time)} {year:04d}{suffix}"

    return format_value


def split_style(date_style: str) -> tuple[str, str]:
    """Return (style, field order) of a DateStyle as SHOW prints it: ("ISO", "MDY")."""
    style, _, order = date_style.partition(",")
    return style.strip(), order.strip() or "MDY"


def date_formatter(settings: FormatSettings) -> Callable[[int], str]:
    """Return the formatter of dates under the settings."""
    style, order = split_style(settings.date_style)
    if style == "ISO":
        return format_iso_date
    styled = _styled_date(style, order == "DMY")

    def format_value(days: int) -> str:
        if days in (calendar.DATE_INFINITY, calendar.DATE_MINUS_INFINITY):
            return "infinity" if days > 0 else "-infinity"
        return styled(days) + _era(days)

    return format_value


@lru_cache(256)
def timestamp_formatter(settings: FormatSettings) -> Callable[[int], str]:
    """Return the formatter of timestamps without time zone under the settings."""
    style, order = split_style(settings.date_style)
    return (
        format_iso_timestamp if style == "ISO" else _styled_timestamp(style, order == "DMY", None)
    )


@lru_cache(256)
def timestamptz_formatter(settings: FormatSettings) -> Callable[[int], str]:
    """Return the formatter of timestamps with time zone under the settings."""
    style, order = split_style(settings.date_style)
    at = zone(settings.time_zone)
    return _iso_timestamptz(at) if style == "ISO" else _styled_timestamp(style, order == "DMY", at)
