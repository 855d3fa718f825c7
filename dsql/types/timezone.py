"""Time zones: names and POSIX specifications to offsets, both from UTC and from local time.

Offsets are seconds east of Greenwich. Looking up a zone's offset is slow in zoneinfo, so answers are
kept per quarter of an hour; a quarter inside which the offset changes is always computed.
"""

from __future__ import annotations

import datetime
import io
import re
import struct
import zoneinfo
from functools import lru_cache

from dsql.errors import SqlError
from dsql.types.calendar import DAY, SECOND
from dsql.types.zone_abbreviations import OFFSETS, ZONES

_QUARTER = 900 * SECOND
_CYCLE = 146_097 * DAY  # the calendar repeats every 400 years
_EPOCH = datetime.datetime(2000, 1, 1)
_EPOCH_UTC = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)
_YEAR_2 = -(365 * 1998 + 484) * DAY
_YEAR_9998 = 2_921_000 * DAY
_CACHED_QUARTERS_MAX = 50_000
_MONTH, _YEAR_OF_MONTHS = 30 * DAY, 13
_DAYLIGHT = "M3.2.0,M11.1.0"  # when a POSIX zone changes that does not say so
_POSIX = re.compile(
    r"(?:<([+-]?\w+)>|([A-Za-z]{3,}))?([+-]?)(\d{1,3})(?::(\d{1,2})(?::(\d{1,2}))?)?"
    r"(<[+-]?\w+>[^,]*|[A-Za-z]{3,}[^,]*)?(,.*)?",
    re.ASCII,
)


class Zone:
    """A time zone. `name` is the spelling that SHOW TimeZone gives."""

    def __init__(self, name: str, source: datetime.tzinfo) -> None:
        self.name = name
        self.fixed: int | None = None
        if isinstance(source, datetime.timezone):
            self.fixed = int(source.utcoffset(None).total_seconds())
        elif name.upper() in ("UTC", "GMT", "ETC/UTC", "ETC/GMT", "UCT", "ZULU", "UNIVERSAL"):
            self.fixed = 0
        self._source = source
        self._quarters: dict[int, int] = {}

    def offset_at(self, instant: int) -> int:
        """Return the offset at an instant (microseconds since 2000-01-01 UTC)."""
        if self.fixed is not None:
            return self.fixed
        quarter = instant // _QUARTER
        offset = self._quarters.get(quarter)
        return self._look_up(instant, quarter) if offset is None else offset

    def offset_of_local(self, local: int) -> int:
        """Return the offset in force at a local time.

        A time that was skipped takes the offset from before the change, one that happened twice the
        offset from after it: both are the smaller one.
        """
        if self.fixed is not None:
            return self.fixed
        moment = (_EPOCH + datetime.timedelta(microseconds=_into_range(local))).replace(
            tzinfo=self._source
        )
        return min(_seconds(moment), _seconds(moment.replace(fold=1)))

    def abbreviation_at(self, instant: int) -> str:
        """Return the zone's abbreviation at an instant ("CET", or "+03")."""
        moment = _EPOCH_UTC + datetime.timedelta(microseconds=_into_range(instant))
        return moment.astimezone(self._source).tzname() or self.name

    def is_daylight_at(self, instant: int) -> bool:
        """Return whether daylight saving time is in force at an instant."""
        moment = _EPOCH_UTC + datetime.timedelta(microseconds=_into_range(instant))
        return bool(moment.astimezone(self._source).dst())

    def _look_up(self, instant: int, quarter: int) -> int:
        start = self._exact(quarter * _QUARTER)
        if start != self._exact((quarter + 1) * _QUARTER - 1):
            return self._exact(instant)
        if len(self._quarters) >= _CACHED_QUARTERS_MAX:
            self._quarters.clear()
        self._quarters[quarter] = start
        return start

    def _exact(self, instant: int) -> int:
        moment = _EPOCH_UTC + datetime.timedelta(microseconds=_into_range(instant))
        return _seconds(moment.astimezone(self._source))


class _Abbreviation(Zone):
    """An abbreviation whose offset was not always the same: MSK has been three hours, and four.

    It is the one in which the zone has last used it, be it summer or winter now.
    """

    def __init__(self, name: str, zone_name: str) -> None:
        super().__init__(name, zoneinfo.ZoneInfo(zone_name))

    def offset_at(self, instant: int) -> int:
        for age in range(_YEAR_OF_MONTHS):
            earlier = instant - age * _MONTH
            if self.abbreviation_at(earlier) == self.name:
                return super().offset_at(earlier)
        return super().offset_at(instant)

    def offset_of_local(self, local: int) -> int:
        return self.offset_at(local - super().offset_of_local(local) * SECOND)


def _seconds(moment: datetime.datetime) -> int:
    offset = moment.utcoffset()
    assert offset is not None
    return int(offset.total_seconds())


def _into_range(value: int) -> int:
    """Move a time outside datetime's years to the same place of a 400-year cycle inside them."""
    if value < _YEAR_2:
        return _YEAR_2
    if value >= _YEAR_9998:
        return value - ((value - _YEAR_9998) // _CYCLE + 1) * _CYCLE
    return value


@lru_cache(1)
def _names() -> dict[str, str]:
    return {name.lower(): name for name in zoneinfo.available_timezones()}


def zone_names() -> list[str]:
    """Return the full names of all zones, in order."""
    return sorted(_names().values())


@lru_cache(1024)
def find_zone(name: str) -> Zone | None:
    """Return the zone of a full name, abbreviation or POSIX specification; None if there is none."""
    full = name if name == "UTC" else _names().get(name.lower().removeprefix("posix/"))
    if full:
        return Zone(full, zoneinfo.ZoneInfo(full))
    return find_abbreviation(name) or _posix_zone(name)


def find_abbreviation(name: str) -> Zone | None:
    """Return the zone of an abbreviation (CEST, MSK), None if there is none."""
    upper = name.upper()
    if upper in OFFSETS:
        return fixed_zone(OFFSETS[upper], upper)
    if upper in ZONES:
        return _Abbreviation(upper, ZONES[upper])
    return None


def zone(name: str) -> Zone:
    """Return the zone. Raises SqlError 22023 if there is none of that name."""
    found = find_zone(name)
    if found is None:
        raise SqlError("22023", f'time zone "{name}" not recognized')
    return found


def fixed_zone(offset: int, name: str = "") -> Zone:
    """Return a zone with one offset, named as PostgreSQL names SET TIME ZONE <number>."""
    west = format_offset(-offset)
    name = name or f"<{format_offset(offset)}>{west}"
    label = name if not name.startswith("<") else format_offset(offset)
    return Zone(name, datetime.timezone(datetime.timedelta(seconds=offset), label))


def _posix_zone(name: str) -> Zone | None:
    """Read "EST5", "<+03>-3", "+3", "0:30" or "CST7CDT,M4.1.0,M10.5.0". POSIX counts west as positive."""
    match = _POSIX.fullmatch(name)
    if not match or not (match[1] or match[2] or match[3] or match[5]) or int(match[4]) > 167:
        return None
    if match[7]:
        return _daylight_zone(name, match[8] or f",{_DAYLIGHT}")
    seconds = int(match[4]) * 3600 + int(match[5] or 0) * 60 + int(match[6] or 0)
    if seconds >= 86_400:
        return None
    east = seconds if match[3] == "-" else -seconds
    label = match[1] or match[2] or name
    return Zone(name, datetime.timezone(datetime.timedelta(seconds=east), label))


def _daylight_zone(name: str, rules: str) -> Zone | None:
    """Return a zone whose whole file is its POSIX rule."""
    text = name if "," in name else name + rules
    head = b"TZif2" + bytes(15) + struct.pack("!6I", 0, 0, 0, 0, 1, 4)
    block = head + struct.pack("!iBB", 0, 0, 0) + b"LMT\0"
    try:
        source = zoneinfo.ZoneInfo.from_file(io.BytesIO(block + block + f"\n{text}\n".encode()))
    except ValueError:
        return None
    return Zone(name, source)


@lru_cache(512)
def format_offset(offset: int) -> str:
    """Return "+05:30", leaving out zero minutes and seconds."""
    sign = "-" if offset < 0 else "+"
    minutes, seconds = divmod(abs(offset), 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{sign}{hours:02d}"
    if minutes or seconds:
        text += f":{minutes:02d}"
    return text + (f":{seconds:02d}" if seconds else "")
