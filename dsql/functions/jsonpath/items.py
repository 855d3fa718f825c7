"""What a jsonpath yields: loaded JSON values (`dsql.types.json.load`), dates and times."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from dsql.errors import SqlError
from dsql.functions.function import Context
from dsql.functions.json_access import kind_of
from dsql.functions.timestamps import local_to_instant, session_zone
from dsql.types import oids, registry
from dsql.types.calendar import DAY, SECOND, TIMESTAMP_END
from dsql.types.datetime_format import format_iso_date, format_iso_timestamp, format_time
from dsql.types.temporal import timetz_key
from dsql.types.timezone import format_offset

_SHORT_NAMES = {
    oids.DATE: "date", oids.TIME: "time", oids.TIMETZ: "timetz", oids.TIMESTAMP: "timestamp",
    oids.TIMESTAMPTZ: "timestamptz",
}  # fmt: skip
_TIMES = frozenset((oids.TIME, oids.TIMETZ))


@dataclass(frozen=True, slots=True)
class Datetime:
    """A runtime value of the type `oid`; `offset` in seconds east is that of the text it was read from."""

    oid: int
    value: Any
    offset: int = 0

    def text(self) -> str:
        """Return it as JSON shows it: ISO 8601."""
        if self.oid == oids.DATE:
            return format_iso_date(self.value)
        if self.oid == oids.TIME:
            return format_time(self.value)
        if self.oid == oids.TIMETZ:
            return format_time(self.value[0]) + _offset(-self.value[1])
        shown = self.value + self.offset * SECOND
        text = format_iso_timestamp(shown).replace(" ", "T", 1)
        if self.oid == oids.TIMESTAMP:
            return text
        bare = text.removesuffix(" BC")
        return bare + _offset(self.offset) + text[len(bare) :]


def _offset(seconds: int) -> str:
    text = format_offset(seconds)
    return text if ":" in text else text + ":00"


def children(item: Any) -> Iterable[Any]:
    """Return the elements or members' values of a container; nothing for other items."""
    if isinstance(item, list):
        return item
    return item.values() if isinstance(item, dict) else ()


def number(item: Any) -> Decimal | None:
    """Return a number as numeric, None for other items."""
    return Decimal(item) if type(item) in (int, Decimal) else None


def type_name(item: Any) -> str:
    """Return what .type() says of an item."""
    return registry.get(item.oid).sql_name if isinstance(item, Datetime) else kind_of(item)


def compare(operator: str, left: Any, right: Any, context: Context, *, zoned: bool) -> bool | None:
    """Compare two items; None if they cannot be. Raises SqlError 0A000 if that needs a time zone.

    `zoned`: the session's zone may be used.
    """
    if (left is None) != (right is None):
        return operator == "!="
    if isinstance(left, Datetime) and isinstance(right, Datetime):
        keys = _instants(left, right, context, zoned=zoned)
        return None if keys is None else _holds(operator, *keys)
    kind = _kind(left)
    if kind != _kind(right) or kind in ("array", "object", "datetime"):
        return None
    return (
        _holds(operator, left or 0, right or 0) if left is None else _holds(operator, left, right)
    )


def _kind(item: Any) -> str:
    return "datetime" if isinstance(item, Datetime) else kind_of(item)


def _holds(operator: str, left: Any, right: Any) -> bool:
    match operator:
        case "==":
            return bool(left == right)
        case "!=":
            return bool(left != right)
        case "<":
            return bool(left < right)
        case ">":
            return bool(left > right)
        case "<=":
            return bool(left <= right)
    return bool(left >= right)


def _instants(
    left: Datetime, right: Datetime, context: Context, *, zoned: bool
) -> tuple[Any, Any] | None:
    """Return the keys that order two dates or times, None if one has no day and the other one has."""
    if (left.oid in _TIMES) != (right.oid in _TIMES):
        return None
    zone_types = (oids.TIMETZ, oids.TIMESTAMPTZ)
    if (left.oid in zone_types) != (right.oid in zone_types) and not zoned:
        source, target = (left, right) if right.oid in zone_types else (right, left)
        what = f"from {_SHORT_NAMES[source.oid]} to {_SHORT_NAMES[target.oid]}"
        raise SqlError(
            "0A000",
            f"cannot convert value {what} without time zone usage",
            hint="Use *_tz() function for time zone support.",
        )
    key = _time_key if left.oid in _TIMES else _day_key
    uses_zone = left.oid in zone_types or right.oid in zone_types
    return key(left, context, uses_zone), key(right, context, uses_zone)


def _time_key(item: Datetime, context: Context, uses_zone: bool) -> Any:
    if item.oid == oids.TIMETZ:
        return timetz_key(item.value)
    if not uses_zone:
        return item.value
    at = session_zone(context)
    now = context.transaction_timestamp
    today = (now + at.offset_at(now) * SECOND) // DAY
    return timetz_key((item.value, -at.offset_of_local(today * DAY + item.value)))


def _day_key(item: Datetime, context: Context, uses_zone: bool) -> int:
    if item.oid == oids.TIMESTAMPTZ:
        return int(item.value)
    local = int(item.value) * (DAY if item.oid == oids.DATE else 1)
    # A date may lie behind all timestamps.
    return local_to_instant(context, local) if uses_zone and local < TIMESTAMP_END else local
