"""Functions and operators of macaddr and macaddr8."""

from __future__ import annotations

import operator
from collections.abc import Callable

from dsql.errors import SqlError
from dsql.functions.definition import define
from dsql.types.mac_address import to_eight

_SEVENTH_BIT = 0x02


def _combined(combine: Callable[[int, int], int]) -> Callable[[bytes, bytes], bytes]:
    return lambda left, right: bytes(map(combine, left, right))


def to_six(value: bytes) -> bytes:
    """Return eight bytes as six, if FF FE are in the middle. Raises SqlError 22003."""
    if value[3:5] != b"\xff\xfe":
        hint = (
            "Only addresses that have FF and FE as values in the 4th and 5th bytes from the left, for"
            " example xx:xx:xx:ff:fe:xx:xx:xx, are eligible to be converted from macaddr8 to macaddr."
        )
        message = "macaddr8 data out of range to convert to macaddr"
        raise SqlError("22003", message, hint=hint)
    return value[:3] + value[5:]


for _name in ("macaddr", "macaddr8"):
    define(f"{_name}_not", lambda value: bytes(byte ^ 0xFF for byte in value))
    define(f"{_name}_and", _combined(operator.and_))
    define(f"{_name}_or", _combined(operator.or_))
    define(f"trunc({_name})", lambda value: value[:3] + bytes(len(value) - 3))
define("macaddr8", to_eight)
define("macaddr", to_six)
define("macaddr8_set7bit", lambda value: bytes((value[0] | _SEVENTH_BIT,)) + value[1:])
