"""Integer and floating-point arithmetic, with PostgreSQL's overflow and division errors."""

from __future__ import annotations

import math

from dsql.errors import SqlError
from dsql.functions.definition import define
from dsql.functions.templates import export
from dsql.types.floating import round_float4
from dsql.types.integer import INT2_MAX, INT2_MIN, INT4_MAX, INT4_MIN, INT8_MAX, INT8_MIN


def out_of_range(type_name: str) -> SqlError:
    """Return the overflow error of an integer type."""
    return SqlError("22003", f"{type_name} out of range")


def division_by_zero() -> SqlError:
    """Return the error of dividing by zero."""
    return SqlError("22012", "division by zero")


@export
def check_int2(value: int) -> int:
    """Return `value` if int2 holds it. Raises SqlError 22003."""
    if INT2_MIN <= value <= INT2_MAX:
        return value
    raise out_of_range("smallint")


@export
def check_int4(value: int) -> int:
    """Return `value` if int4 holds it. Raises SqlError 22003."""
    if INT4_MIN <= value <= INT4_MAX:
        return value
    raise out_of_range("integer")


@export
def check_int8(value: int) -> int:
    """Return `value` if int8 holds it. Raises SqlError 22003."""
    if INT8_MIN <= value <= INT8_MAX:
        return value
    raise out_of_range("bigint")


@export
def divide_int(left: int, right: int) -> int:
    """Divide, rounding toward zero. Raises SqlError 22012."""
    if right == 0:
        raise division_by_zero()
    quotient = left // right
    return quotient + 1 if quotient < 0 and quotient * right != left else quotient


@export
def mod_int(left: int, right: int) -> int:
    """Return the remainder with the dividend's sign. Raises SqlError 22012."""
    if right == 0:
        raise division_by_zero()
    rest = left % right
    return rest - right if rest and (left < 0) != (right < 0) else rest


@export
def check_float8(result: float, left: float, right: float) -> float:
    """Return `result` unless it overflowed. Raises SqlError 22003."""
    if math.isinf(result) and not (math.isinf(left) or math.isinf(right)):
        raise SqlError("22003", "value out of range: overflow")
    return result


def multiply_float8(left: float, right: float) -> float:
    """Multiply. Raises SqlError 22003 on overflow and underflow."""
    result = left * right
    if result == 0.0 and left != 0.0 and right != 0.0:
        raise SqlError("22003", "value out of range: underflow")
    return check_float8(result, left, right)


def divide_float8(left: float, right: float) -> float:
    """Divide. Raises SqlError 22012 and 22003."""
    if right == 0.0:
        if math.isnan(left):
            return left
        raise division_by_zero()
    result = left / right
    if result == 0.0 and left != 0.0 and not math.isinf(right):
        raise SqlError("22003", "value out of range: underflow")
    return check_float8(result, left, right)


def _single(left: float, right: float, result: float) -> float:
    if math.isinf(left) or math.isinf(right):
        return result
    rounded = round_float4(result)
    if rounded == 0.0 and result != 0.0:
        raise SqlError("22003", "value out of range: underflow")
    return rounded


def _define_integers() -> None:
    # int24pl is int2 + int4; the result has the larger type.
    for letters, bits in (
        ("2", 2), ("4", 4), ("8", 8), ("24", 4), ("42", 4), ("28", 8), ("82", 8), ("48", 8), ("84", 8),
    ):  # fmt: skip
        check = f"check_int{bits}"
        define(f"int{letters}pl", template=f"{check}({{0}} + {{1}})")
        define(f"int{letters}mi", template=f"{check}({{0}} - {{1}})")
        define(f"int{letters}mul", template=f"{check}({{0}} * {{1}})")
        define(f"int{letters}div", template=f"{check}(divide_int({{0}}, {{1}}))")
    for bits in (2, 4, 8):
        own, wide = f"int{bits}", bits * 8
        define(f"{own}mod mod({own},{own})", template="mod_int({0}, {1})")
        define(f"{own}um", template=f"check_int{bits}(-{{0}})")
        define(f"{own}up", template="{0}")
        define(f"{own}abs abs({own})", template=f"check_int{bits}(abs({{0}}))")
        define(f"{own}and", template="({0} & {1})")
        define(f"{own}or", template="({0} | {1})")
        define(f"{own}xor", template="({0} ^ {1})")
        define(f"{own}not", template="(~{0})")
        define(f"{own}shl", lambda value, by, wide=wide: _shift_left(value, by, wide))
        define(f"{own}shr", lambda value, by, wide=wide: value >> (by % max(wide, 32)))
    define("int4inc", template="check_int4({0} + 1)")
    define("int8inc", template="check_int8({0} + 1)")


def _shift_left(value: int, by: int, bits: int) -> int:
    """Shift within `bits`, the amount taken modulo the machine word as the hardware does."""
    shifted = value << (by % max(bits, 32))
    return (shifted + (1 << (bits - 1))) % (1 << bits) - (1 << (bits - 1))


def _define_floats() -> None:
    for letters in ("8", "48", "84"):
        define(f"float{letters}pl", lambda a, b: check_float8(a + b, a, b))
        define(f"float{letters}mi", lambda a, b: check_float8(a - b, a, b))
        define(f"float{letters}mul", multiply_float8)
        define(f"float{letters}div", divide_float8)
    define("float4pl", lambda a, b: _single(a, b, a + b))
    define("float4mi", lambda a, b: _single(a, b, a - b))
    define("float4mul", lambda a, b: _single(a, b, a * b))
    define("float4div", lambda a, b: _single(a, b, divide_float8(a, b)))
    define("float8um float4um", template="(-{0})")
    define("float8up float4up", template="{0}")
    define("float8abs float4abs abs(float8) abs(float4)", template="abs({0})")


_define_integers()
_define_floats()
