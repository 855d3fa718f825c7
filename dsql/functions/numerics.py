"""numeric arithmetic and its functions, with PostgreSQL's rules for the scale of results."""

from __future__ import annotations

import decimal
import math
from decimal import Decimal
from functools import lru_cache

from dsql.errors import SqlError
from dsql.functions.arithmetic import division_by_zero
from dsql.functions.definition import define
from dsql.functions.templates import export
from dsql.types.numeric import (
    DIGITS_AFTER_POINT_MAX,
    DIGITS_BEFORE_POINT_MAX,
    EXACT,
    NAN,
    canonical,
    checked,
    overflow,
    rescale,
    scale_of,
)

SIGNIFICANT_DIGITS_MIN = 16
DISPLAY_SCALE_MAX = 1000
_DIGITS = 4  # decimal digits per digit of PostgreSQL's base-10000 format
_ZERO = Decimal(0)
_SCALE_MIN = -DIGITS_BEFORE_POINT_MAX - 1  # rounding there leaves nothing but a possible overflow


@lru_cache(256)
def _truncating(digits: int) -> decimal.Context:
    return decimal.Context(digits, decimal.ROUND_DOWN, Emin=-999_999, Emax=999_999, traps=[])


@export
def numeric_add(left: Decimal, right: Decimal) -> Decimal:
    """Add exactly. Raises SqlError 22003."""
    return checked(EXACT.add(left, right))


@export
def numeric_sub(left: Decimal, right: Decimal) -> Decimal:
    """Subtract exactly. Raises SqlError 22003."""
    return checked(EXACT.subtract(left, right))


@export
def numeric_mul(left: Decimal, right: Decimal) -> Decimal:
    """Multiply exactly; the scale is the sum of the scales. Raises SqlError 22003."""
    return canonical(EXACT.multiply(left, right))


def negate(value: Decimal) -> Decimal:
    """Return the value with the other sign; neither NaN nor zero has one."""
    return EXACT.minus(value)


def leading_digit(value: Decimal) -> tuple[int, int]:
    """Return (weight, first digit) of the value in base 10000, as PostgreSQL holds it."""
    if not value:
        return 0, 0
    place = value.adjusted()
    return place // _DIGITS, abs(int(EXACT.scaleb(value, place % _DIGITS - place)))


def division_scale(left: Decimal, right: Decimal) -> int:
    """Return the scale of left / right: at least 16 significant digits, and both operands' scales."""
    (weight_left, first_left), (weight_right, first_right) = (
        leading_digit(left),
        leading_digit(right),
    )
    weight = weight_left - weight_right - (first_left <= first_right)
    scale = max(SIGNIFICANT_DIGITS_MIN - weight * _DIGITS, scale_of(left), scale_of(right), 0)
    return min(scale, DISPLAY_SCALE_MAX)


def divide_to_scale(left: Decimal, right: Decimal, scale: int) -> Decimal:
    """Divide finite values, rounding half away from zero at `scale`."""
    # A quotient that is cut off after more digits than are kept rounds to the same.
    digits = max(left.adjusted() - right.adjusted() + scale + 2, 1) if left else 1
    return rescale(_truncating(-(-digits // 32) * 32).divide(left, right), scale)


def numeric_div(left: Decimal, right: Decimal) -> Decimal:
    """Divide. Raises SqlError 22012 and 22003."""
    if left.is_nan() or right.is_nan():
        return NAN
    if not right:
        raise division_by_zero()
    if left.is_infinite():
        return NAN if right.is_infinite() else EXACT.divide(left, right)
    if right.is_infinite():
        return _ZERO
    return canonical(divide_to_scale(left, right, division_scale(left, right)))


def numeric_div_trunc(left: Decimal, right: Decimal) -> Decimal:
    """Return div(left, right): the quotient truncated to an integer."""
    if left.is_nan() or right.is_nan() or not right or not left.is_finite() or right.is_infinite():
        return numeric_div(left, right)
    return canonical(EXACT.divide_int(left, right))


def numeric_mod(left: Decimal, right: Decimal) -> Decimal:
    """Return the remainder, with the dividend's sign. Raises SqlError 22012."""
    if left.is_nan() or right.is_nan():
        return NAN
    if not right:
        raise division_by_zero()
    result = EXACT.remainder(left, right)
    return (
        NAN
        if result.is_nan()
        else rescale(result, max(scale_of(left), scale_of(right)))
        if right.is_finite()
        else result
    )


def round_to(value: Decimal, scale: int) -> Decimal:
    """Round half away from zero at `scale` digits; negative scales round left of the point."""
    return checked(rescale(value, max(_SCALE_MIN, min(scale, DIGITS_AFTER_POINT_MAX))))


def trunc(value: Decimal, scale: int) -> Decimal:
    """Cut off after `scale` digits; negative scales cut left of the point."""
    if not value.is_finite():
        return value
    scale = max(_SCALE_MIN, min(scale, DIGITS_AFTER_POINT_MAX))
    return canonical(value.quantize(Decimal((0, (1,), -scale)), decimal.ROUND_DOWN, EXACT))


def ceil(value: Decimal) -> Decimal:
    """Return the smallest integer not below."""
    return canonical(value.to_integral_value(decimal.ROUND_CEILING)) if value.is_finite() else value


def floor(value: Decimal) -> Decimal:
    """Return the largest integer not above."""
    return canonical(value.to_integral_value(decimal.ROUND_FLOOR)) if value.is_finite() else value


def sign(value: Decimal) -> Decimal:
    """Return -1, 0 or 1."""
    return NAN if value.is_nan() else Decimal((value > 0) - (value < 0))


def factorial(value: int) -> Decimal:
    """Return the factorial. Raises SqlError 22003."""
    if value < 0:
        raise SqlError("22003", "factorial of a negative number is undefined")
    if value > 32_177:
        raise overflow()
    return EXACT.create_decimal(math.factorial(value))


def gcd(left: Decimal, right: Decimal) -> Decimal:
    """Return the greatest common divisor of two numerics."""
    if not (left.is_finite() and right.is_finite()):
        return NAN
    scale = max(scale_of(left), scale_of(right))
    larger, smaller = (
        EXACT.scaleb(value.copy_abs(), scale) for value in sorted((left, right), key=abs_of)[::-1]
    )
    if not smaller:
        return rescale(EXACT.scaleb(larger, -scale), scale)
    # The first remainder makes both as short as the smaller: turning long numbers into int is slow.
    divisor = math.gcd(int(smaller), int(EXACT.remainder(larger, smaller)))
    return rescale(EXACT.scaleb(Decimal(divisor), -scale), scale)


def abs_of(value: Decimal) -> Decimal:
    """Return the absolute value."""
    return value.copy_abs()


def lcm(left: Decimal, right: Decimal) -> Decimal:
    """Return the least common multiple of two numerics. Raises SqlError 22003."""
    if not (left.is_finite() and right.is_finite()):
        return NAN
    scale = max(scale_of(left), scale_of(right))
    if not left or not right:
        return rescale(_ZERO, scale)
    multiple = EXACT.multiply(EXACT.divide_int(left, gcd(left, right)), right)
    return checked(rescale(multiple.copy_abs(), scale))


def trim_scale(value: Decimal) -> Decimal:
    """Return the value with trailing zeros of its fraction removed."""
    return canonical(value.normalize(EXACT)) if value.is_finite() else value


define("numeric_add", template="numeric_add({0}, {1})")
define("numeric_sub", template="numeric_sub({0}, {1})")
define("numeric_mul", template="numeric_mul({0}, {1})")
define("numeric_div", numeric_div)
define("numeric_div_trunc div(numeric,numeric)", numeric_div_trunc)
define("numeric_mod mod(numeric,numeric)", numeric_mod)
define("numeric_uminus", negate)
define("numeric_uplus", template="{0}")
define("numeric_abs abs(numeric)", abs_of)
define("numeric_inc", lambda value: numeric_add(value, Decimal(1)))
define("round(numeric,int4)", round_to)
define("round(numeric)", lambda value: round_to(value, 0))
define("trunc(numeric,int4)", trunc)
define("trunc(numeric)", lambda value: trunc(value, 0))
define("ceil(numeric) ceiling(numeric)", ceil)
define("floor(numeric)", floor)
define("sign(numeric)", sign)
define("factorial", factorial)
define("gcd(numeric,numeric)", gcd)
define("lcm(numeric,numeric)", lcm)
define("scale", lambda value: scale_of(value) if value.is_finite() else None)
define("min_scale", lambda value: scale_of(trim_scale(value)) if value.is_finite() else None)
define("trim_scale", trim_scale)
