"""The item methods .double() and .datetime()."""

from __future__ import annotations

import math
from typing import Any

from dsql.errors import SqlError
from dsql.functions.date_pieces import Piece, parse_template
from dsql.functions.date_template_moments import Reading, read_template, template_type
from dsql.functions.jsonpath.errors import PathError
from dsql.functions.jsonpath.items import Datetime, number
from dsql.functions.number_casts import float8_to_numeric
from dsql.types import calendar, oids
from dsql.types.calendar import DAY, SECOND
from dsql.types.floating import decode_float8
from dsql.types.typmod import round_micros

_ZONES = ("TZH:TZM", "TZH")
_TIMES = ("HH24:MI:SS.US", "HH24:MI:SS")
_DAYS = ("yyyy-mm-dd ", 'yyyy-mm-dd"T"')
_ISO_TEMPLATES = tuple(
    parse_template(template, standard=True)
    for template in (
        "yyyy-mm-dd",
        *(time + zone for time in _TIMES for zone in _ZONES),
        *_TIMES,
        *(day + time + zone for day in _DAYS for time in _TIMES for zone in _ZONES),
        *(day + time for day in _DAYS for time in _TIMES),
    )
)


def double(item: Any) -> Any:
    """Return a number as it is, a string as the number that it spells. Raises PathError 22036."""
    if number(item) is not None:
        if _is_double(format(number(item), "f")):
            return item
        problem = "numeric argument of jsonpath item method .double() is out of range for type"
        raise PathError("22036", f"{problem} double precision")
    if not isinstance(item, str):
        what = "jsonpath item method .double() can only be applied to a string or numeric value"
        raise PathError("22036", what)
    if not _is_double(item):
        problem = "string argument of jsonpath item method .double() is not a valid representation"
        raise PathError("22036", f"{problem} of a double precision number")
    return float8_to_numeric(decode_float8(item.encode()))


def _is_double(text: str) -> bool:
    try:
        return math.isfinite(decode_float8(text.encode()))
    except SqlError:
        return False


def datetime(item: Any, template: str | None) -> Datetime:
    """Read a date or time along a template, or in the first ISO form that fits.

    Raises PathError 22031, 22007, 22008, 0A000, and SqlError 22007 for a bad template.
    """
    if not isinstance(item, str):
        what = "jsonpath item method .datetime() can only be applied to a string"
        raise PathError("22031", what)
    if template is not None:
        pieces = parse_template(template, standard=True)
        try:
            return _read(item, pieces)
        except SqlError as error:
            raise PathError(
                error.sqlstate, error.message, detail=error.detail, hint=error.hint
            ) from None
    for pieces in _ISO_TEMPLATES:
        try:
            return _read(item, pieces)
        except SqlError:
            continue
    raise PathError(
        "22031",
        f'datetime format is not recognized: "{item}"',
        hint="Use a datetime template argument to specify the input data format.",
    )


def _read(text: str, pieces: tuple[Piece, ...]) -> Datetime:
    reading = read_template(text, pieces, standard=True)
    oid = template_type(pieces)
    if oid == oids.DATE:
        if not calendar.DATE_MIN <= reading.days < calendar.DATE_END:
            raise SqlError("22008", f'date out of range: "{text}"')
        return Datetime(oid, reading.days)
    if oid == oids.TIME:
        return Datetime(oid, _rounded(reading.micros, reading))
    offset = reading.offset or 0
    if oid == oids.TIMETZ:
        return Datetime(oid, (_rounded(reading.micros, reading), -offset))
    local = reading.days * DAY + reading.micros
    value = calendar.check_timestamp(local - (offset * SECOND if oid == oids.TIMESTAMPTZ else 0))
    return Datetime(oid, _rounded(value, reading), offset if oid == oids.TIMESTAMPTZ else 0)


def _rounded(micros: int, reading: Reading) -> int:
    return round_micros(micros, reading.precision) if reading.precision else micros
