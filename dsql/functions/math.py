"""Mathematical functions over double precision and integers."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from functools import partial

from dsql.errors import SqlError
from dsql.functions.arithmetic import check_float8, check_int4, check_int8
from dsql.functions.definition import define
from dsql.functions.numeric_powers import check_logarithm
from dsql.functions.numerics import negate, numeric_div
from dsql.functions.session_random import session_random, set_seed
from dsql.types.numeric import EXACT


def _out_of_range() -> SqlError:
    return SqlError("22003", "input is out of range")


def _plain(function: Callable[[float], float]) -> Callable[[float], float]:
    """Return a C math function with PostgreSQL's errors."""

    def call(value: float) -> float:
        try:
            return function(value)
        except OverflowError:
            raise SqlError("22003", "value out of range: overflow") from None
        except ValueError:
            if math.isnan(value):
                return value
            raise _out_of_range() from None

    return call


def _infinite_beyond(function: Callable[[float], float]) -> Callable[[float], float]:
    """Return a hyperbolic function that is infinite where its value is out of range."""

    def call(value: float) -> float:
        try:
            return function(value)
        except OverflowError:
            return math.inf if value > 0 else function(math.copysign(math.inf, value))

    return call


def _area_tangent(value: float) -> float:
    if abs(value) == 1:
        return math.copysign(math.inf, value)
    return _plain(math.atanh)(value)


def _in_degrees(function: Callable[[float], float]) -> Callable[[float], float]:
    """Return a trigonometric function of degrees, exact at multiples of 30 and 45."""

    def call(value: float) -> float:
        if math.isinf(value):
            raise _out_of_range()
        if math.isnan(value):
            return value
        result = function(math.radians(math.fmod(value, 360.0)))
        nearest = round(result * 2) / 2
        return nearest if abs(result - nearest) < 1e-15 else result

    return call


def _to_degrees(function: Callable[..., float]) -> Callable[..., float]:
    def call(*values: float) -> float:
        result = math.degrees(_guard(function, *values))
        if math.isnan(result):
            return result
        nearest = float(round(result))
        return nearest if abs(result - nearest) < 1e-13 * max(1.0, abs(nearest)) else result

    return call


def _guard(function: Callable[..., float], *values: float) -> float:
    try:
        return function(*values)
    except ValueError:
        raise _out_of_range() from None


def sqrt(value: float) -> float:
    """Return the square root. Raises SqlError 2201F."""
    if value < 0:
        raise SqlError("2201F", "cannot take square root of a negative number")
    return math.sqrt(value)


def _logarithm(function: Callable[[float], float]) -> Callable[[float], float]:
    def call(value: float) -> float:
        check_logarithm(value)
        return function(value)

    return call


def power(base: float, exponent: float) -> float:
    """Raise to a power. Raises SqlError 2201F and 22003."""
    if math.isnan(base) or math.isnan(exponent):
        return 1.0 if exponent == 0 or base == 1 else math.nan
    if base == 0 and exponent < 0:
        raise SqlError("2201F", "zero raised to a negative power is undefined")
    if base < 0 and math.isfinite(exponent) and exponent != math.floor(exponent):
        raise SqlError(
            "2201F", "a negative number raised to a non-integer power yields a complex result"
        )
    try:
        result = math.pow(base, exponent)
    except OverflowError:
        raise SqlError("22003", "value out of range: overflow") from None
    if result == 0 and base != 0 and math.isfinite(base) and math.isfinite(exponent):
        raise SqlError("22003", "value out of range: underflow")
    return check_float8(result, base, exponent)


def exp(value: float) -> float:
    """Return e to the power. Raises SqlError 22003."""
    try:
        result = math.exp(value)
    except OverflowError:
        raise SqlError("22003", "value out of range: overflow") from None
    if result == 0 and not math.isinf(value):
        raise SqlError("22003", "value out of range: underflow")
    return result


def _whole(function: Callable[[float], int]) -> Callable[[float], float]:
    return lambda value: float(function(value)) if math.isfinite(value) else value


def _round_half_even(value: float) -> float:
    return math.copysign(float(round(value)), value) if math.isfinite(value) else value


def cotangent(value: float) -> float:
    """Return cot(value). Raises SqlError 22003."""
    if math.isinf(value):
        raise _out_of_range()
    tangent = math.tan(value)
    return math.copysign(math.inf, tangent) if tangent == 0 else 1 / tangent


def _check_bounds(
    operand: Decimal | float, low: Decimal | float, high: Decimal | float, count: int
) -> None:
    """Refuse what width_bucket refuses. Raises SqlError 2201G."""
    if count <= 0:
        raise SqlError("2201G", "count must be greater than zero")
    if operand != operand or low != low or high != high:
        raise SqlError("2201G", "operand, lower bound, and upper bound cannot be NaN")
    if math.inf in (low, high) or -math.inf in (low, high):
        raise SqlError("2201G", "lower and upper bounds must be finite")
    if low == high:
        raise SqlError("2201G", "lower bound cannot equal upper bound")


def width_bucket_float8(operand: float, low: float, high: float, count: int) -> int:
    """Return the bucket (1..count; 0 and count + 1 outside) of the operand."""
    _check_bounds(operand, low, high, count)
    if low > high:
        operand, low, high = -operand, -low, -high
    if operand < low:
        return 0
    if operand >= high:
        return check_int4(count + 1)
    if math.isinf(high - low):
        operand, low, high = operand / 2, low / 2, high / 2
    return check_int4(int((operand - low) / (high - low) * count) + 1)


def width_bucket_numeric(operand: Decimal, low: Decimal, high: Decimal, count: int) -> int:
    """Return the bucket (1..count; 0 and count + 1 outside) of the operand."""
    _check_bounds(operand, low, high, count)
    if low > high:
        operand, low, high = negate(operand), negate(low), negate(high)
    if operand < low:
        return 0
    if operand >= high:
        return check_int4(count + 1)
    share = EXACT.multiply(EXACT.subtract(operand, low), Decimal(count))
    return check_int4(int(numeric_div(share, EXACT.subtract(high, low))) + 1)


def gcd(left: int, right: int, check: Callable[[int], int]) -> int:
    """Return the greatest common divisor. Raises SqlError 22003."""
    return check(math.gcd(left, right))


def lcm(left: int, right: int, check: Callable[[int], int]) -> int:
    """Return the least common multiple. Raises SqlError 22003."""
    return check(math.lcm(left, right))


def _set_seed(value: float) -> str:
    if not -1 <= value <= 1:
        raise SqlError("22023", f"setseed parameter {value:g} is out of allowed range [-1,1]")
    set_seed(value)
    return ""


for _name in ("sin", "cos", "tan"):
    define(_name, _plain(getattr(math, _name)))
    define(_name + "d", _in_degrees(getattr(math, _name)))
for _name in ("asin", "acos", "atan"):
    define(_name, _plain(getattr(math, _name)))
    define(_name + "d", _to_degrees(getattr(math, _name)))
for _name in ("tanh", "asinh", "acosh"):
    define(_name, _plain(getattr(math, _name)))
define("sinh", _infinite_beyond(math.sinh))
define("cosh", _infinite_beyond(math.cosh))
define("atanh", _area_tangent)
define("cot", cotangent)
define("cotd", lambda value: cotangent(math.radians(value)))
define("atan2", math.atan2)
define("atan2d", _to_degrees(math.atan2))
define("degrees", math.degrees)
define("radians", math.radians)
define("pi", lambda: math.pi)
define("sqrt(float8) dsqrt", sqrt)
define("cbrt dcbrt", math.cbrt)
define("exp(float8) dexp", exp)
define("ln(float8) dlog1", _logarithm(math.log))
define("log(float8) log10(float8) dlog10", _logarithm(math.log10))
define("power(float8,float8) pow(float8,float8) dpow", power)
define("ceil(float8) ceiling(float8)", _whole(math.ceil))
define("floor(float8)", _whole(math.floor))
define("trunc(float8) dtrunc", _whole(math.trunc))
define("round(float8) dround", _round_half_even)
define("sign(float8)", lambda value: float((value > 0) - (value < 0)))
define("random", lambda: session_random().random())
define("setseed", _set_seed)
define("width_bucket(float8,float8,float8,int4)", width_bucket_float8)
define("width_bucket(numeric,numeric,numeric,int4)", width_bucket_numeric)
define("gcd(int4,int4)", partial(gcd, check=check_int4))
define("gcd(int8,int8)", partial(gcd, check=check_int8))
define("lcm(int4,int4)", partial(lcm, check=check_int4))
define("lcm(int8,int8)", partial(lcm, check=check_int8))
