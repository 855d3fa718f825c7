"""Casts among numbers, booleans and "char"."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal

from dsql.errors import SqlError, unsupported
from dsql.functions.arithmetic import check_int2, check_int4, check_int8, out_of_range
from dsql.functions.definition import define
from dsql.types.floating import decode_float4, decode_float8, round_float4
from dsql.types.numeric import NAN, canonical, format_numeric, rescale

_INTEGER_DIGITS_MAX = 20  # more digits do not fit; int() of very long numbers is quadratic
_CHECKS: dict[str, tuple[str, Callable[[int], int]]] = {
    "int2": ("smallint", check_int2),
    "int4": ("integer", check_int4),
    "int8": ("bigint", check_int8),
}


def _float_to_int(name: str) -> Callable[[float], int]:
    sql_name, check = _CHECKS[name]

    def convert(value: float) -> int:
        if not math.isfinite(value):
            raise out_of_range(sql_name)
        return check(round(value))  # half to even, like C's rint

    return convert


def _numeric_to_int(name: str) -> Callable[[Decimal], int]:
    sql_name, check = _CHECKS[name]

    def convert(value: Decimal) -> int:
        if not value.is_finite():
            kind = "NaN" if value.is_nan() else "infinity"
            raise unsupported(f"cannot convert {kind} to {sql_name}")
        if value.adjusted() >= _INTEGER_DIGITS_MAX:
            raise out_of_range(sql_name)
        return check(int(rescale(value, 0)))

    return convert


def float8_to_numeric(value: float) -> Decimal:
    """Return the numeric with a double's 15 significant digits."""
    return _float_to_numeric(value, 15)


def _float_to_numeric(value: float, digits: int) -> Decimal:
    if math.isnan(value):
        return NAN
    return canonical(Decimal(f"{value:.{digits}g}"))


def numeric_to_float8(value: Decimal) -> float:
    """Return the nearest double. Raises SqlError 22003."""
    return decode_float8(format_numeric(value).encode())


def _oid_from_int8(value: int) -> int:
    if not 0 <= value < 2**32:
        raise SqlError("22003", "OID out of range")
    return value


numeric_to_int4 = _numeric_to_int("int4")
for _name in _CHECKS:
    define(f"{_name}(float8) {_name}(float4)", _float_to_int(_name))
    define(f"{_name}(numeric)", _numeric_to_int(_name))
    define(f"numeric({_name})", Decimal, template="Decimal({0})")
    define(f"float8({_name})", float)
    define(f"float4({_name})", lambda value: round_float4(float(value)))
define("int8(int4) int8(int2) int4(int2) int8(oid)", template="{0}")
define("int2(int4) int2(int8)", template="check_int2({0})")
define("int4(int8)", template="check_int4({0})")
define("float8(float4)", template="{0}")
define("float4(float8)", lambda value: value if math.isinf(value) else round_float4(value))
define("numeric(float8)", float8_to_numeric)
define("numeric(float4)", lambda value: _float_to_numeric(value, 6))
define("float8(numeric)", numeric_to_float8)
define("float4(numeric)", lambda value: decode_float4(format_numeric(value).encode()))
define("oid(int8)", _oid_from_int8)
define("bool(int4)", template="({0} != 0)")
define("int4(bool)", template="int({0})")
define("int4(char)", lambda value: (ord(value) + 128) % 256 - 128 if value else 0)
define("char(int4)", lambda value: chr(value & 255) if value else "")
