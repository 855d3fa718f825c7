"""The ids that .keyvalue() gives: where an object lies in PostgreSQL's binary form of jsonb.

A container is a header of 4 bytes, 4 bytes for each element (for each key and each value of an object), and
then the keys, if it is an object, and the values. Numbers and containers begin at multiples of 4.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from dsql.types.numeric import encode_binary, scale_of

_WORD = 4
_NUMERIC_HEADER = 8  # of the wire's form: count, weight, sign, scale
_SHORT_SCALE_MAX, _SHORT_WEIGHTS = 63, range(-64, 64)
_BASE_FACTOR = 10_000_000_000


class Base:
    """A value and its number: 0 for `$`, 1 for the variables, then what .keyvalue() has made."""

    __slots__ = ("_offsets", "number", "value")

    def __init__(self, value: Any, number: int) -> None:
        self.value = value
        self.number = number
        self._offsets: dict[int, int] = {}

    def id_of(self, item: dict[str, Any]) -> int:
        """Return the id of an object in the value."""
        if not self._offsets:
            _lay_out(self.value, 0, self._offsets)
        # An object from elsewhere, a variable's under `@`, say, has an arbitrary id in PostgreSQL.
        return self._offsets.get(id(item), 0) + self.number * _BASE_FACTOR


def _lay_out(container: Any, start: int, offsets: dict[int, int]) -> int:
    """Note where containers begin; return where this one ends."""
    offsets[id(container)] = start
    keys = list(container) if isinstance(container, dict) else []
    at = start + _WORD + _WORD * (len(keys) + len(container)) + sum(len(k.encode()) for k in keys)
    for item in container.values() if keys else container:
        if isinstance(item, dict | list):
            at = _lay_out(item, _aligned(at), offsets)
        elif isinstance(item, str):
            at += len(item.encode())
        elif item is not None and not isinstance(item, bool):
            at = _aligned(at) + _numeric_size(Decimal(item))
    return at


def _aligned(at: int) -> int:
    return -(-at // _WORD) * _WORD


def _numeric_size(value: Decimal) -> int:
    """Return the bytes of numeric on disk, with its length."""
    data = encode_binary(value)
    weight = int.from_bytes(data[2:4], signed=True)
    is_short = scale_of(value) <= _SHORT_SCALE_MAX and weight in _SHORT_WEIGHTS
    return _WORD + (2 if is_short else 4) + len(data) - _NUMERIC_HEADER
