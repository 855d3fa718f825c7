"""numeric arithmetic and its functions, with PostgreSQL's rules for the scale of results."""

from __future__ import annotations

import decimal
import math
from collections.abc import Callable
from decimal import Decimal

from dsql.errors import SqlError
from dsql.functions.arithmetic import division_by_zero
from dsql.functions.definition import define
from dsql.functions.templates import export
from dsql.types.numeric import EXACT, NAN, canonical, rescale, scale_of

SIGNIFICANT_DIGITS_MIN = 16
DISPLAY_SCALE_MAX = 1000
_DIGITS = 4  # decimal digits per digit of PostgreSQL's base-10000 format
_ZERO = Decimal(0)


def _overflow() -> SqlError:
    return SqlError("22003", "value overflows numeric format")


@export
def numeric_add(left: Decimal, right: Decimal) -> Decimal:
    """Add exactly."""
    return EXACT.add(left, right)


@export
def numeric_sub(left: Decimal, right: Decimal) -> Decimal:
    """Subtract exactly."""
    return EXACT.subtract(left, right)


@export
def numeric_mul(left: Decimal, right: Decimal) -> Decimal:
    """Multiply exactly; the scale is the sum of the scales."""
    return canonical(EXACT.multiply(left, right))


def _weight(value: Decimal) -> tuple[int, int]:
    """Return (weight, first digit) of the value in base 10000, as PostgreSQL holds it."""
    if not value:
        return 0, 0
    place = value.adjusted()
    digits = value.as_tuple().digits[: place % _DIGITS + 1]
    first = int("".join(map(str, digits)).ljust(place % _DIGITS + 1, "0"))
    return place // _DIGITS, first


def division_scale(left: Decimal, right: Decimal) -> int:
    """Return the scale of left / right: at least 16 significant digits, and both operands' scales."""
    (weight_left, first_left), (weight_right, first_right) = _weight(left), _weight(right)
    weight = weight_left - weight_right - (first_left <= first_right)
    scale = max(SIGNIFICANT_DIGITS_MIN - weight * _DIGITS, scale_of(left), scale_of(right), 0)
    return min(scale, DISPLAY_SCALE_MAX)


def divide_to_scale(left: Decimal, right: Decimal, scale: int) -> Decimal:
    """Divide finite values, rounding half away from zero at `scale`."""
    shift = scale + scale_of(right) - scale_of(left)
    top = int(EXACT.scaleb(abs(left), scale_of(left)))
    bottom = int(EXACT.scaleb(abs(right), scale_of(right)))
    if shift >= 0:
        top *= 10**shift
    else:
        bottom *= 10**-shift
    quotient = (2 * top + bottom) // (2 * bottom)
    value = EXACT.scaleb(Decimal(quotient), -scale)
    return -value if (left < 0) != (right < 0) and quotient else value


def numeric_div(left: Decimal, right: Decimal) -> Decimal:
    """Divide. Raises SqlError 22012."""
    if left.is_nan() or right.is_nan():
        return NAN
    if not right:
        raise division_by_zero()
    if left.is_infinite():
        return NAN if right.is_infinite() else EXACT.divide(left, right)
    if right.is_infinite():
        return _ZERO
    return divide_to_scale(left, right, division_scale(left, right))


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


def trunc(value: Decimal, scale: int) -> Decimal:
    """Cut off after `scale` digits; negative scales cut left of the point."""
    if not value.is_finite():
        return value
    scale = max(-2000, min(scale, 2000))
    context = EXACT.copy()
    context.rounding = decimal.ROUND_DOWN
    return canonical(value.quantize(Decimal((0, (1,), -scale)), context=context))


def ceil(value: Decimal) -> Decimal:
    """Return the smallest integer not below."""
    return canonical(value.to_integral_value(decimal.ROUND_CEILING)) if value.is_finite() else value


def floor(value: Decimal) -> Decimal:
    """Return the largest integer not above."""
    return canonical(value.to_integral_value(decimal.ROUND_FLOOR)) if value.is_finite() else value


def _result_scale(estimate: float, *values: Decimal) -> int:
    """Return the scale that gives a result of about 10**estimate 16 significant digits."""
    scale = SIGNIFICANT_DIGITS_MIN - math.floor(estimate)
    return min(max(scale, *(scale_of(value) for value in values), 0), DISPLAY_SCALE_MAX)


def _context(digits: int) -> decimal.Context:
    return decimal.Context(prec=max(digits, 1) + 10, Emin=-999_999, Emax=999_999, traps=[])


def sqrt(value: Decimal) -> Decimal:
    """Return the square root. Raises SqlError 2201F for a negative number."""
    if value.is_nan():
        return NAN
    if value < 0:
        raise SqlError("2201F", "cannot take square root of a negative number")
    if not value.is_finite():
        return value
    weight = _weight(value)[0]
    significant = (
        (weight + 1) * _DIGITS // 2 - 1 if weight >= 0 else 0 - (-(weight + 1)) * _DIGITS // 2 - 1
    )
    scale = max(SIGNIFICANT_DIGITS_MIN - significant, scale_of(value), 0)
    scale = min(scale, DISPLAY_SCALE_MAX)
    return rescale(_context(scale + max(value.adjusted(), 0) // 2 + 2).sqrt(value), scale)


def exp(value: Decimal) -> Decimal:
    """Return e to the power. Raises SqlError 22003."""
    if not value.is_finite():
        return _ZERO if value.is_infinite() and value < 0 else value
    estimate = float(value) * 0.434294481903252
    if estimate > 131_072:
        raise _overflow()
    if estimate < -16_383:
        return rescale(_ZERO, DISPLAY_SCALE_MAX)
    scale = _result_scale(int(estimate), value)
    return rescale(_context(scale + max(int(estimate), 0) + 2).exp(value), scale)


def check_logarithm(value: Decimal | float) -> None:
    """Raise SqlError 2201E for a value without a logarithm."""
    if value == 0:
        raise SqlError("2201E", "cannot take logarithm of zero")
    if value < 0:
        raise SqlError("2201E", "cannot take logarithm of a negative number")


def ln(value: Decimal) -> Decimal:
    """Return the natural logarithm. Raises SqlError 2201E."""
    if value.is_nan():
        return NAN
    check_logarithm(value)
    if value.is_infinite():
        return value
    result = _context(40).ln(value)
    weight = int(math.log10(abs(float(result)))) if result else 0
    scale = _result_scale(weight, value)
    return rescale(_context(scale + 20).ln(value), scale)


def log(base: Decimal, value: Decimal) -> Decimal:
    """Return the logarithm to a base. Raises SqlError 2201E and 22012."""
    if base.is_nan() or value.is_nan():
        return NAN
    check_logarithm(base)
    check_logarithm(value)
    context = _context(60)
    divisor = context.ln(base)
    if not divisor:
        raise division_by_zero()
    result = context.log10(value) if base == 10 else context.divide(context.ln(value), divisor)
    return rescale(result, _result_scale(result.adjusted() if result else 0, base, value))


def power(base: Decimal, exponent: Decimal) -> Decimal:
    """Raise to a power. Raises SqlError 2201F and 22003."""
    if base.is_nan() or exponent.is_nan():
        return Decimal(1) if exponent == 0 or base == 1 else NAN
    whole = exponent.is_infinite() or exponent == exponent.to_integral_value()
    if base < 0 and not whole:
        raise SqlError(
            "2201F", "a negative number raised to a non-integer power yields a complex result"
        )
    if not base and exponent < 0:
        raise SqlError("2201F", "zero raised to a negative power is undefined")
    if base.is_infinite() or exponent.is_infinite():
        result = EXACT.power(base, exponent)
        return Decimal(1) if base == 1 else NAN if result.is_nan() else result
    if not base:
        return rescale(Decimal(0 if exponent else 1), SIGNIFICANT_DIGITS_MIN)
    estimate = (
        float(exponent) * math.log10(abs(float(base)))
        if abs(base) < Decimal("1e300")
        else (float(exponent) * base.adjusted())
    )
    if estimate > 131_072:
        raise _overflow()
    if estimate < -16_383:
        return rescale(_ZERO, DISPLAY_SCALE_MAX)
    if exponent == exponent.to_integral_value() and abs(exponent) < 2**31:
        scale = _result_scale(0, base, exponent)
    else:
        scale = _result_scale(int(estimate), base, exponent)
    return rescale(_context(scale + max(int(estimate), 0) + 5).power(base, exponent), scale)


def sign(value: Decimal) -> Decimal:
    """Return -1, 0 or 1."""
    return NAN if value.is_nan() else Decimal((value > 0) - (value < 0))


def factorial(value: int) -> Decimal:
    """Return the factorial. Raises SqlError 22003."""
    if value < 0:
        raise SqlError("22003", "factorial of a negative number is undefined")
    if value > 32_177:
        raise _overflow()
    return EXACT.create_decimal(math.factorial(value))


def gcd(left: Decimal, right: Decimal) -> Decimal:
    """Return the greatest common divisor of two numerics."""
    return _as_integers(math.gcd, left, right)


def lcm(left: Decimal, right: Decimal) -> Decimal:
    """Return the least common multiple of two numerics."""
    return _as_integers(math.lcm, left, right)


def _as_integers(function: Callable[..., int], left: Decimal, right: Decimal) -> Decimal:
    """Apply a function of integers to two numerics, at the larger of their scales."""
    if not (left.is_finite() and right.is_finite()):
        return NAN
    scale = max(scale_of(left), scale_of(right))
    numbers = (int(EXACT.scaleb(value, scale)) for value in (left, right))
    return EXACT.scaleb(Decimal(function(*numbers)), -scale)


def trim_scale(value: Decimal) -> Decimal:
    """Return the value with trailing zeros of its fraction removed."""
    return canonical(value.normalize(EXACT)) if value.is_finite() else value


define("numeric_add", template="numeric_add({0}, {1})")
define("numeric_sub", template="numeric_sub({0}, {1})")
define("numeric_mul", template="numeric_mul({0}, {1})")
define("numeric_div", numeric_div)
define("numeric_div_trunc div(numeric,numeric)", numeric_div_trunc)
define("numeric_mod mod(numeric,numeric)", numeric_mod)
define("numeric_uminus", lambda value: -value if value else value)
define("numeric_uplus", template="{0}")
define("numeric_abs abs(numeric)", lambda value: value.copy_abs())
define("numeric_inc", lambda value: EXACT.add(value, Decimal(1)))
define("round(numeric,int4)", lambda value, scale: rescale(value, max(-2000, min(scale, 2000))))
define("round(numeric)", lambda value: rescale(value, 0))
define("trunc(numeric,int4)", trunc)
define("trunc(numeric)", lambda value: trunc(value, 0))
define("ceil(numeric) ceiling(numeric)", ceil)
define("floor(numeric)", floor)
define("sqrt(numeric) numeric_sqrt", sqrt)
define("exp(numeric) numeric_exp", exp)
define("ln(numeric) numeric_ln", ln)
define("log(numeric) log10(numeric)", lambda value: log(Decimal(10), value))
define("log(numeric,numeric) numeric_log", log)
define("power(numeric,numeric) pow(numeric,numeric) numeric_power", power)
define("sign(numeric)", sign)
define("factorial", factorial)
define("gcd(numeric,numeric)", gcd)
define("lcm(numeric,numeric)", lcm)
define("scale", lambda value: scale_of(value) if value.is_finite() else None)
define("min_scale", lambda value: scale_of(trim_scale(value)) if value.is_finite() else None)
define("trim_scale", trim_scale)
