"""Roots, powers, exponentials and logarithms of numeric, with PostgreSQL's scales and limits.

Results are computed with more digits than are shown, in contexts made for the purpose, and rounded once.
What PostgreSQL refuses as too large (e^6000, say) is refused before anything is computed, which bounds the
cost.
"""

from __future__ import annotations

import math
from decimal import Context, Decimal

from dsql.errors import SqlError
from dsql.functions.arithmetic import division_by_zero
from dsql.functions.definition import define
from dsql.functions.numerics import (
    DISPLAY_SCALE_MAX,
    SIGNIFICANT_DIGITS_MIN,
    divide_to_scale,
    leading_digit,
)
from dsql.types.integer import INT4_MAX, INT4_MIN
from dsql.types.numeric import (
    DIGITS_BEFORE_POINT_MAX,
    EXACT,
    NAN,
    canonical,
    overflow,
    rescale,
    scale_of,
)

_ZERO, _ONE, _INFINITY = Decimal(0), Decimal(1), Decimal("Infinity")
_LOG10_E = 0.434294481903252
_GUARD = 20  # digits computed beyond those that are kept
_ROOT_START = 500  # digits of a root that the decimal module computes fast
_LN_START = 40  # digits of a logarithm that the decimal module computes fast
_SERIES_DISTANCE = 10  # so many zeros after 1. or nines after 0., and ln's series falls fast
_EXPONENT_MAX = 6000  # PostgreSQL's NUMERIC_MAX_RESULT_SCALE * 3: a larger power of e overflows
_POWER_EXPONENT_MAX = 2000 * 3.01  # the same for exponent * ln(base)
_RESULT_SCALE_MAX = 2000
_INTEGER_POWER_WEIGHT_MAX = 3 * 0x7FFF * 4  # beyond, an integer power is not even begun


def _context(digits: int) -> Context:
    return Context(prec=max(digits, 1) + _GUARD, Emin=-999_999, Emax=999_999, traps=[])


def _exp(value: Decimal, digits: int) -> Decimal:
    """Return e to a power with so many significant digits.

    exp(x) = exp(x / 2**k) ** 2**k: a Taylor series over a tiny number and k squarings. With k about the
    root of the digits both are short; the decimal module's own is slow for thousands of digits.
    """
    size = value.copy_abs()
    halvings = math.isqrt(digits) + 4 + (math.ceil(math.log2(size)) if size > 1 else 0)
    context = _context(digits + halvings // 3)
    reduced = context.divide(value, Decimal(1 << halvings))
    total = term = _ONE
    number = 0
    while term and term.adjusted() > -context.prec:
        number += 1
        term = context.divide(context.multiply(term, reduced), Decimal(number))
        total = context.add(total, term)
    for _ in range(halvings):
        total = context.multiply(total, total)
    return total


def _ln(value: Decimal, digits: int) -> Decimal:
    """Return the natural logarithm of a positive value with so many significant digits."""
    distance = EXACT.subtract(value, _ONE)
    if not distance:
        return _ZERO
    close = -distance.adjusted()
    if close > _SERIES_DISTANCE:
        return _ln_near_one(distance, digits)
    digits += max(close, 0)
    known = _LN_START
    result = _context(known).ln(_context(known).plus(value))
    while known < digits:
        # Halley's step trebles the digits: y + 2 * (x - e^y) / (x + e^y).
        known = min(known * 3, digits)
        context = _context(known)
        argument, power = context.plus(value), _exp(result, known)
        step = context.divide(context.subtract(argument, power), context.add(argument, power))
        result = context.add(result, context.add(step, step))
    return result


def _ln_near_one(distance: Decimal, digits: int) -> Decimal:
    """Return ln(1 + distance) as 2 * artanh(distance / (2 + distance)), whose series falls fast."""
    context = _context(digits)
    ratio = context.divide(distance, EXACT.add(distance, Decimal(2)))
    square = context.multiply(ratio, ratio)
    total = term = ratio
    for number in range(3, 2 * digits + 2 * _GUARD, 2):
        term = context.multiply(term, square)
        if term.adjusted() < total.adjusted() - context.prec:
            break
        total = context.add(total, context.divide(term, Decimal(number)))
    return context.add(total, total)


def _scale(weight: int, *values: Decimal) -> int:
    """Return the scale that shows 16 significant digits of a result of about 10**weight."""
    scale = max(SIGNIFICANT_DIGITS_MIN - weight, 0, *(scale_of(value) for value in values))
    return min(scale, DISPLAY_SCALE_MAX)


def _root(value: Decimal, digits: int) -> Decimal:
    """Return the square root with so many significant digits."""
    known = min(digits, _ROOT_START)
    root = _context(known).sqrt(_context(known).plus(value))
    while known < digits:
        known = min(2 * known, digits)  # Heron's step doubles the digits
        context = _context(known)
        quotient = context.divide(context.plus(value), root)
        root = context.multiply(context.add(root, quotient), Decimal("0.5"))
    return root


def sqrt_to_scale(value: Decimal, scale: int) -> Decimal:
    """Return the square root of a finite value, rounded at `scale`."""
    digits = max(value.adjusted(), 0) // 2 + 1 + scale
    context, root = _context(digits), _root(value, digits)
    error = Decimal((0, (1,), -scale - _GUARD // 2))
    if rescale(context.add(root, error), scale) != rescale(context.subtract(root, error), scale):
        # So near to a tie that only twice the digits tell the side, as they always do.
        root = _context(2 * digits).sqrt(value)
    return rescale(root, scale)


def sqrt(value: Decimal) -> Decimal:
    """Return the square root. Raises SqlError 2201F for a negative number."""
    if value.is_nan():
        return NAN
    if value < 0:
        raise SqlError("2201F", "cannot take square root of a negative number")
    if value.is_infinite():
        return value
    weight = leading_digit(value)[0]
    return sqrt_to_scale(value, _scale((weight + 1) * 2 - 1, value))


def exp(value: Decimal) -> Decimal:
    """Return e to the power. Raises SqlError 22003."""
    if not value.is_finite():
        return _ZERO if value == -_INFINITY else value
    weight = max(min(float(value) * _LOG10_E, _RESULT_SCALE_MAX), -_RESULT_SCALE_MAX)
    return _exp_to_scale(value, _scale(int(weight), value))


def _exp_to_scale(value: Decimal, scale: int) -> Decimal:
    estimate = float(value)
    if abs(estimate) >= _EXPONENT_MAX:
        if estimate > 0:
            raise overflow()
        return rescale(_ZERO, scale)
    digits = max(int(estimate * _LOG10_E), 0) + scale
    return rescale(_exp(_context(digits).plus(value), digits), scale)


def check_logarithm(value: Decimal | float) -> None:
    """Raise SqlError 2201E for a value without a logarithm."""
    if value == 0:
        raise SqlError("2201E", "cannot take logarithm of zero")
    if value < 0:
        raise SqlError("2201E", "cannot take logarithm of a negative number")


def _ln_weight(value: Decimal) -> int:
    """Return about log10(abs(ln(value))), cut off toward zero as PostgreSQL estimates it."""
    if Decimal("0.9") <= value <= Decimal("1.1"):
        distance = EXACT.subtract(value, _ONE)
        if not distance:
            return 0
        weight, first = leading_digit(distance)
        return weight * 4 + int(math.log10(first))
    place = value.adjusted()
    leading = float(EXACT.scaleb(value, -place))
    return int(math.log10(abs(math.log(leading) + place * math.log(10))))


def ln(value: Decimal) -> Decimal:
    """Return the natural logarithm. Raises SqlError 2201E."""
    if value.is_nan():
        return NAN
    check_logarithm(value)
    if value.is_infinite():
        return value
    weight = _ln_weight(value)
    scale = _scale(weight, value)
    if weight < -scale - 1:
        return rescale(_ZERO, scale)
    return rescale(_ln(value, max(scale + weight, 0)), scale)


def log(base: Decimal, value: Decimal) -> Decimal:
    """Return the logarithm to a base. Raises SqlError 2201E and 22012."""
    if base.is_nan() or value.is_nan():
        return NAN
    finite = base.is_finite() and value.is_finite()
    for checked in (base, value) if finite else sorted((base, value)):
        check_logarithm(checked)
    if base.is_infinite():
        return NAN if value.is_infinite() else _ZERO
    if value.is_infinite():
        return value
    if base == 1:
        raise division_by_zero()
    weight = _ln_weight(value) - _ln_weight(base)
    scale = _scale(weight, base, value)
    digits = max(scale + weight, 0)
    return rescale(_context(digits).divide(_ln(value, digits), _ln(base, digits)), scale)


def power(base: Decimal, exponent: Decimal) -> Decimal:
    """Raise to a power. Raises SqlError 2201F and 22003."""
    if base.is_nan() or exponent.is_nan():
        return _ONE if exponent == 0 or base == 1 else NAN
    whole = exponent.is_infinite() or exponent == exponent.to_integral_value()
    if not base and exponent < 0:
        raise SqlError("2201F", "zero raised to a negative power is undefined")
    if base < 0 and not whole:
        raise SqlError(
            "2201F", "a negative number raised to a non-integer power yields a complex result"
        )
    if base.is_infinite() or exponent.is_infinite():
        return _infinite_power(base, exponent)
    if whole and INT4_MIN <= exponent <= INT4_MAX:
        return _integer_power(base, int(exponent))
    if not base:
        return rescale(_ZERO, SIGNIFICANT_DIGITS_MIN)
    size = _real_power(base.copy_abs(), exponent)
    odd = base < 0 and EXACT.remainder(exponent, Decimal(2)) != 0
    return EXACT.minus(size) if odd else size


def _infinite_power(base: Decimal, exponent: Decimal) -> Decimal:
    """Follow POSIX's pow() where one operand is infinite."""
    if base == 1 or not exponent:
        return _ONE
    if not base:
        return _ZERO
    if exponent.is_infinite():
        if base == -1:
            return _ONE
        return _INFINITY if (base.copy_abs() > 1) == (exponent > 0) else _ZERO
    if exponent < 0:
        return _ZERO
    odd = base < 0 and EXACT.remainder(exponent, Decimal(2)) != 0
    return base if odd else _INFINITY


def _integer_power(base: Decimal, exponent: int) -> Decimal:
    scale = _scale(0, base)
    if exponent == 0:
        return rescale(_ONE, scale)
    if exponent == 1:
        return rescale(base, scale)
    if exponent == -1:
        return canonical(divide_to_scale(_ONE, base, scale))
    if exponent == 2:
        return canonical(rescale(EXACT.multiply(base, base), scale))
    if not base:
        return rescale(_ZERO, scale)
    place = base.adjusted()
    weight = exponent * (math.log10(float(EXACT.scaleb(base.copy_abs(), -place))) + place)
    if weight > _INTEGER_POWER_WEIGHT_MAX:
        raise overflow()
    if weight + 1 < -scale:
        return rescale(_ZERO, scale)
    if weight > DIGITS_BEFORE_POINT_MAX + 1:
        raise overflow()
    digits = 1 + scale + int(weight) + int(math.log(abs(exponent))) + 8
    return canonical(rescale(_context(digits).power(base, Decimal(exponent)), scale))


def _real_power(base: Decimal, exponent: Decimal) -> Decimal:
    """Return exp(exponent * ln(base)) for a positive base."""
    estimate = float(_context(8).multiply(_ln(base, 8), exponent))
    if abs(estimate) > _POWER_EXPONENT_MAX:
        if estimate > 0:
            raise overflow()
        return rescale(_ZERO, DISPLAY_SCALE_MAX)
    weight = int(estimate * _LOG10_E)
    scale = _scale(weight, base, exponent)
    digits = max(scale + weight, 0) + 8
    return _exp_to_scale(_context(digits).multiply(_ln(base, digits), exponent), scale)


define("sqrt(numeric) numeric_sqrt", sqrt)
define("exp(numeric) numeric_exp", exp)
define("ln(numeric) numeric_ln", ln)
define("log(numeric) log10(numeric)", lambda value: log(Decimal(10), value))
define("log(numeric,numeric) numeric_log", log)
define("power(numeric,numeric) pow(numeric,numeric) numeric_power", power)
