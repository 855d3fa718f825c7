"""record_image_eq and its kin: records compared by what their fields look like, 1.0 and 1.00 apart.

PostgreSQL compares bytes of memory. Those of numbers, strings, uuids and dates are the same here; those of
other types are what they are in binary, so what is equal is the same, and which is less may differ.
"""

from __future__ import annotations

import operator
import struct
from collections.abc import Callable
from typing import Any

from dsql.functions.comparison import compare_records
from dsql.functions.definition import define
from dsql.types import oids, registry
from dsql.types.record import Record

_WHOLE = 2**64 - 1
_FLOATS = {oids.FLOAT8: "<d", oids.FLOAT4: "<f"}


def _image(oid: int | None, value: Any) -> int | bytes:
    """Return the machine word of a value that is passed by value, else its bytes."""
    assert oid is not None, "what makes a record knows its fields"
    if oid in _FLOATS:
        return int.from_bytes(struct.pack(_FLOATS[oid], value), "little")
    kind = registry.get(oid)
    if kind.by_value and isinstance(value, int):
        return value & _WHOLE
    return kind.binary_encode(value)


def compare(left: Record, right: Record) -> int:
    """Return -1, 0 or 1; NULL equals itself and comes last. Raises SqlError 42804."""
    return compare_records(left, right, _image)


def _comparison(decide: Callable[[int, int], bool]) -> Callable[[Record, Record], bool]:
    return lambda left, right: decide(compare(left, right), 0)


for _name in ("eq", "ne", "lt", "gt", "le", "ge"):
    define(f"record_image_{_name}", _comparison(getattr(operator, _name)))
define("btrecordimagecmp", compare)
