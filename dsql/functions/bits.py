"""Functions and operators of bit and varbit."""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import partial

from dsql.errors import SqlError
from dsql.functions.definition import define
from dsql.functions.text import joined, overlay, substring
from dsql.types import oids
from dsql.types.typmod import enforcer

_ONE_FOR_ZERO = str.maketrans("01", "10")


def _combined(name: str, combine: Callable[[int, int], int]) -> Callable[[str, str], str]:
    def apply(left: str, right: str) -> str:
        if len(left) != len(right):
            raise SqlError("22026", f"cannot {name} bit strings of different sizes")
        return f"{combine(int(left, 2), int(right, 2)):0{len(left)}b}" if left else ""

    return apply


def shift_left(value: str, by: int) -> str:
    """Shift towards the beginning, or away from it by a negative number; what falls out is lost."""
    size = len(value)
    if by < 0:
        return value[: max(size + by, 0)].rjust(size, "0")
    return value[by:].ljust(size, "0")


def from_integer(width: int) -> Callable[[int, int], str]:
    """Return the cast of integers of a width: their lowest bits, the sign going on to the left."""

    def convert(value: int, length: int) -> str:
        length = max(length, 1)
        digits = f"{value & (1 << width) - 1:0{width}b}"
        return digits.rjust(length, digits[0])[-length:]

    return convert


def to_integer(width: int, type_name: str) -> Callable[[str], int]:
    """Return the cast to integers of a width. It raises SqlError 22003."""

    def convert(value: str) -> int:
        if len(value) > width:
            raise SqlError("22003", f"{type_name} out of range")
        number = int(value or "0", 2)
        return number - (1 << width) if number >> width - 1 else number

    return convert


def position(value: str, part: str) -> int:
    """Return where a part begins, from 1; 0 if nowhere, as in an empty string."""
    return value.find(part) + 1 if value else 0


def get_bit(value: str, at: int) -> int:
    """Return bit number `at`, from 0 on the left. Raises SqlError 2202E."""
    if not 0 <= at < len(value):
        message = f"bit index {at} out of valid range (0..{len(value) - 1})"
        raise SqlError("2202E", message)
    return int(value[at])


def set_bit(value: str, at: int, new: int) -> str:
    """Return the value with one bit set or cleared. Raises SqlError 2202E or 22023."""
    get_bit(value, at)
    if new not in (0, 1):
        raise SqlError("22023", "new bit must be 0 or 1")
    return f"{value[:at]}{new}{value[at + 1 :]}"


def fitted(type_oid: int, value: str, length: int, explicit: bool) -> str:
    """Return a value with the length of a type modifier, if it is one. Raises SqlError 22026, 22001."""
    enforce = enforcer(type_oid, length, explicit=explicit) if length > 0 else None
    return value if enforce is None else enforce(value)


# Also what the aggregates of these names do with one value after the other.
COMBINED = {
    "and": _combined("AND", operator.and_),
    "or": _combined("OR", operator.or_),
    "xor": _combined("XOR", operator.xor),
}
for _name, _combine in COMBINED.items():
    define(f"bit{_name}", _combine)
define("bitnot", lambda value: value.translate(_ONE_FOR_ZERO))
define("bitshiftleft", shift_left)
define("bitshiftright", lambda value, by: shift_left(value, -by))
define("bitcat", joined)
define("bit(int4,int4)", from_integer(32))
define("bit(int8,int4)", from_integer(64))
define("int4(bit)", to_integer(32, "integer"))
define("int8(bit)", to_integer(64, "bigint"))
define("length(bit) bit_length(bit)", template="len({0})")
define("octet_length(bit)", template="((len({0}) + 7) // 8)")
define("bit_count(bit)", lambda value: value.count("1"))
define("position(bit,bit)", position)
define("substring(bit,int4) substring(bit,int4,int4)", substring)
define("overlay(bit,bit,int4) overlay(bit,bit,int4,int4)", overlay)
define("get_bit(bit,int4)", get_bit)
define("set_bit(bit,int4,int4)", set_bit)
for _oid, _name in ((oids.BIT, "bit"), (oids.VARBIT, "varbit")):
    define(f"{_name}({_name},int4,bool)", partial(fitted, _oid))
