"""date, time, timetz, timestamp, timestamptz and interval as types."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from dsql.errors import SqlError
from dsql.types import calendar, interval
from dsql.types.binary_input import wrong_length
from dsql.types.calendar import DAY, SECOND
from dsql.types.datetime_format import (
    date_formatter,
    format_time,
    format_timetz,
    split_style,
    timestamp_formatter,
    timestamptz_formatter,
)
from dsql.types.datetime_parse import Fields, local_now, parse_fields
from dsql.types.integer import fixed_decoder
from dsql.types.pg_type import define
from dsql.types.string import decode_utf8
from dsql.types.timezone import Zone, zone
from dsql.types.type import Decode, Encode, FormatSettings

_TIMETZ = struct.Struct("!qi")
_ZONE_END = 16 * 3600  # seconds; a zone is less than that away from UTC
_INTERVAL = struct.Struct("!qii")
_INT8 = struct.Struct("!q")
_INT4 = struct.Struct("!i")


def _days(fields: Fields, at: Zone) -> int:
    """Return the day that the fields name, relative words in the zone `at`."""
    if fields.year is not None:
        assert fields.month is not None
        assert fields.day is not None
        return calendar.days_of(fields.year, fields.month, fields.day)
    if fields.special == "epoch":
        return calendar.UNIX_EPOCH_DAYS
    shift = {"tomorrow": 1, "yesterday": -1}.get(fields.special, 0)
    return local_now(at) // DAY + shift


def parse_date(text: str, settings: FormatSettings) -> int:
    """Read a date. Raises SqlError 22007 or 22008."""
    fields = parse_fields(text, "date", split_style(settings.date_style)[1])
    if fields.special.endswith("infinity"):
        return calendar.DATE_MINUS_INFINITY if fields.special[0] == "-" else calendar.DATE_INFINITY
    if fields.year is None and not fields.special:
        raise SqlError("22007", f'invalid input syntax for type date: "{text}"')
    days = _days(fields, zone(settings.time_zone))
    if not calendar.DATE_MIN <= days < calendar.DATE_END:
        raise SqlError("22008", f'date out of range: "{text}"')
    return days


def _local_timestamp(fields: Fields, text: str, type_name: str, at: Zone) -> int:
    """Return the local time that the fields name."""
    if fields.special == "now":
        return local_now(at)
    if fields.year is None and not fields.special:
        raise SqlError("22007", f'invalid input syntax for type {type_name}: "{text}"')
    return _days(fields, at) * DAY + (fields.time or 0)


def parse_timestamp(text: str, settings: FormatSettings) -> int:
    """Read a timestamp without time zone; a zone in the text is ignored."""
    fields = parse_fields(text, "timestamp", split_style(settings.date_style)[1])
    if fields.special.endswith("infinity"):
        return calendar.MINUS_INFINITY if fields.special[0] == "-" else calendar.INFINITY
    value = _local_timestamp(fields, text, "timestamp", zone(settings.time_zone))
    return _in_range(value, text)


def parse_timestamptz(text: str, settings: FormatSettings) -> int:
    """Read a timestamp with time zone; without a zone in the text it is local to the session's."""
    name = "timestamp with time zone"
    fields = parse_fields(text, name, split_style(settings.date_style)[1])
    if fields.special.endswith("infinity"):
        return calendar.MINUS_INFINITY if fields.special[0] == "-" else calendar.INFINITY
    at = fields.zone or zone(settings.time_zone)
    if fields.special == "epoch":
        return calendar.UNIX_EPOCH
    local = _local_timestamp(fields, text, name, at)
    offset = at.offset_of_local(local) if fields.offset is None else fields.offset
    return _in_range(local - offset * SECOND, text)


def _in_range(value: int, text: str) -> int:
    if calendar.TIMESTAMP_MIN <= value < calendar.TIMESTAMP_END:
        return value
    raise SqlError("22008", f'timestamp out of range: "{text}"')


def _time_fields(text: str, type_name: str, settings: FormatSettings) -> Fields:
    fields = parse_fields(text, type_name, split_style(settings.date_style)[1], timed=True)
    if fields.special == "now":
        fields.time = local_now(zone(settings.time_zone)) % DAY
    if fields.time is None:
        raise SqlError("22007", f'invalid input syntax for type {type_name}: "{text}"')
    return fields


def parse_time(text: str, settings: FormatSettings) -> int:
    """Read a time of day; a zone or date in the text is ignored."""
    fields = _time_fields(text, "time", settings)
    assert fields.time is not None
    return fields.time


def parse_timetz(text: str, settings: FormatSettings) -> tuple[int, int]:
    """Read a time with time zone; a named zone takes its offset of the date in the text, or today."""
    fields = _time_fields(text, "time with time zone", settings)
    assert fields.time is not None
    at = fields.zone or zone(settings.time_zone)
    if fields.offset is None:
        fields.offset = at.offset_of_local(_days(fields, at) * DAY + fields.time)
    return fields.time, -fields.offset


def timetz_key(value: tuple[int, int]) -> tuple[int, int]:
    """Return the sort key of timetz: the instant in UTC, then the zone."""
    return value[0] + value[1] * SECOND, value[1]


def _text_encoder(
    formatter: Callable[[FormatSettings], Callable[[int], str]],
) -> Callable[[FormatSettings], Encode]:
    def make(settings: FormatSettings) -> Encode:
        format_value = formatter(settings)
        return lambda value: format_value(value).encode()

    return make


def _text_decoder(
    parse: Callable[[str, FormatSettings], Any],
) -> Callable[[FormatSettings], Decode]:
    return lambda settings: lambda data: parse(decode_utf8(data), settings)


def _decode_timetz(data: bytes) -> tuple[int, int]:
    if len(data) != _TIMETZ.size:
        raise wrong_length(data, _TIMETZ.size)
    time, zone_seconds = _TIMETZ.unpack(data)
    if not -_ZONE_END < zone_seconds < _ZONE_END:
        raise SqlError("22009", "time zone displacement out of range")
    return _within_a_day(time), zone_seconds


def _decode_time_binary(data: bytes) -> int:
    return _within_a_day(fixed_decoder("!q")(data))


def _within_a_day(time: int) -> int:
    if not 0 <= time <= DAY:
        raise SqlError("22008", "time out of range")
    return time


def _encode_interval(value: interval.Interval) -> bytes:
    return _INTERVAL.pack(value[2], value[1], value[0])


def _decode_interval(data: bytes) -> interval.Interval:
    if len(data) != _INTERVAL.size:
        raise wrong_length(data, _INTERVAL.size)
    micros, days, months = _INTERVAL.unpack(data)
    return months, days, micros


def _decode_timestamp_binary(data: bytes) -> int:
    value = fixed_decoder("!q")(data)
    return value if calendar.is_infinite(value) else calendar.check_timestamp(value)


define(
    "date",
    text_encoder=_text_encoder(date_formatter),
    text_decoder=_text_decoder(parse_date),
    binary_encode=_INT4.pack,
    binary_decode=fixed_decoder("!i"),
)
define(
    "time",
    encode=lambda value: format_time(value).encode(),
    text_decoder=_text_decoder(parse_time),
    binary_encode=_INT8.pack,
    binary_decode=_decode_time_binary,
)
define(
    "timetz",
    encode=lambda value: format_timetz(value).encode(),
    text_decoder=_text_decoder(parse_timetz),
    binary_encode=lambda value: _TIMETZ.pack(*value),
    binary_decode=_decode_timetz,
    store_template="list({0})",
    load_template="tuple({0})",
    sort_key=timetz_key,
    hash_key=timetz_key,
)
define(
    "timestamp",
    text_encoder=_text_encoder(timestamp_formatter),
    text_decoder=_text_decoder(parse_timestamp),
    binary_encode=_INT8.pack,
    binary_decode=_decode_timestamp_binary,
)
define(
    "timestamptz",
    text_encoder=_text_encoder(timestamptz_formatter),
    text_decoder=_text_decoder(parse_timestamptz),
    binary_encode=_INT8.pack,
    binary_decode=_decode_timestamp_binary,
)


def _interval_decoder(settings: FormatSettings) -> Decode:
    style = settings.interval_style
    return lambda data: interval.parse_interval(decode_utf8(data), style=style)


define(
    "interval",
    text_encoder=lambda settings: (
        lambda value: interval.FORMATTERS[settings.interval_style](value).encode()
    ),
    text_decoder=_interval_decoder,
    binary_encode=_encode_interval,
    binary_decode=_decode_interval,
    store_template="list({0})",
    load_template="tuple({0})",
    sort_key=interval.span,
    hash_key=interval.span,
)
