"""Variance, correlation and regression aggregates, and the ordered-set ones.

Integers and numeric are summed exactly; floats by the Youngs-Cramer update, as in PostgreSQL, so that large
means do not spoil small variances.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from dsql.errors import SqlError
from dsql.functions.date_arithmetic import add_intervals, multiply, subtract_intervals
from dsql.functions.definition import define_aggregate
from dsql.functions.numeric_powers import sqrt_to_scale
from dsql.functions.numerics import divide_to_scale, division_scale
from dsql.types import registry
from dsql.types.numeric import EXACT, NAN, checked


class _Exact:
    """Count, sum and sum of squares of integers or numerics."""

    __slots__ = ("count", "squares", "total")

    def __init__(self) -> None:
        self.count = 0
        self.total = Decimal(0)
        self.squares = Decimal(0)

    def add(self, value: Any) -> _Exact:
        number = Decimal(value)
        self.count += 1
        self.total = EXACT.add(self.total, number)
        self.squares = EXACT.add(self.squares, EXACT.multiply(number, number))
        return self

    def variance(self, *, sample: bool, root: bool) -> Decimal | None:
        if self.count < (2 if sample else 1):
            return None
        if not self.total.is_finite():
            return NAN
        count = Decimal(self.count)
        spread = EXACT.subtract(
            EXACT.multiply(self.squares, count), EXACT.multiply(self.total, self.total)
        )
        if spread <= 0:
            return Decimal(0)
        divisor = Decimal(self.count * (self.count - 1 if sample else self.count))
        scale = division_scale(spread, divisor)
        variance = checked(divide_to_scale(spread, divisor, scale))
        return sqrt_to_scale(variance, scale) if root else variance


class _Floats:
    """Youngs-Cramer sums of one or two series: N, Sx, Sxx, Sy, Syy, Sxy."""

    __slots__ = ("count", "sx", "sxx", "sxy", "sy", "syy")

    def __init__(self) -> None:
        self.count = 0.0
        self.sx = self.sxx = self.sy = self.syy = self.sxy = 0.0

    def add(self, value: float) -> _Floats:
        return self.add_pair(0.0, value)

    def add_pair(self, y: float, x: float) -> _Floats:
        before, sx, sy = self.count, self.sx, self.sy
        self.count = count = before + 1
        self.sx = sx + x
        self.sy = sy + y
        if before:
            dx, dy = x * count - self.sx, y * count - self.sy
            scale = 1.0 / (count * before)
            self.sxx += dx * dx * scale
            self.syy += dy * dy * scale
            self.sxy += dx * dy * scale
            if not math.isfinite(self.sx + self.sy + self.sxx + self.syy + self.sxy):
                self._check_infinite(
                    math.isfinite(x) and math.isfinite(sx), math.isfinite(y) and math.isfinite(sy)
                )
            return self
        if not math.isfinite(x):
            self.sxx = self.sxy = math.nan
        if not math.isfinite(y):
            self.syy = self.sxy = math.nan
        return self

    def _check_infinite(self, finite_x: bool, finite_y: bool) -> None:
        """Raise SqlError 22003 if finite inputs became infinite; infinite ones make NaN."""
        if (
            (finite_x and (math.isinf(self.sx) or math.isinf(self.sxx)))
            or (finite_y and (math.isinf(self.sy) or math.isinf(self.syy)))
            or (finite_x and finite_y and math.isinf(self.sxy))
        ):
            raise SqlError("22003", "value out of range: overflow")
        for name in ("sxx", "syy", "sxy"):
            if math.isinf(getattr(self, name)):
                setattr(self, name, math.nan)

    def variance(self, *, sample: bool, root: bool) -> float | None:
        if self.count < (2 if sample else 1):
            return None
        variance = self.sxx / (self.count - 1 if sample else self.count)
        return math.sqrt(variance) if root else variance


_VARIANCES = (
    ("variance", True, False),
    ("var_samp", True, False),
    ("var_pop", False, False),
    ("stddev", True, True),
    ("stddev_samp", True, True),
    ("stddev_pop", False, True),
)


def _final(sample: bool, root: bool) -> Callable[[Any], Any]:
    return lambda sums: sums.variance(sample=sample, root=root)


def _slope(sums: _Floats) -> float | None:
    return sums.sxy / sums.sxx if sums.count >= 1 and sums.sxx != 0 else None


def _intercept(sums: _Floats) -> float | None:
    if sums.count < 1 or sums.sxx == 0:
        return None
    return (sums.sy - sums.sx * sums.sxy / sums.sxx) / sums.count


def _correlation(sums: _Floats) -> float | None:
    if sums.count < 1 or sums.sxx == 0 or sums.syy == 0:
        return None
    return sums.sxy / math.sqrt(sums.sxx * sums.syy)


def _determination(sums: _Floats) -> float | None:
    if sums.count < 1 or sums.sxx == 0:
        return None
    return 1.0 if sums.syy == 0 else sums.sxy * sums.sxy / (sums.sxx * sums.syy)


_REGRESSIONS: dict[str, Callable[[_Floats], Any]] = {
    "regr_count": lambda sums: int(sums.count),
    "regr_sxx": lambda sums: sums.sxx if sums.count >= 1 else None,
    "regr_syy": lambda sums: sums.syy if sums.count >= 1 else None,
    "regr_sxy": lambda sums: sums.sxy if sums.count >= 1 else None,
    "regr_avgx": lambda sums: sums.sx / sums.count if sums.count >= 1 else None,
    "regr_avgy": lambda sums: sums.sy / sums.count if sums.count >= 1 else None,
    "regr_r2": _determination,
    "regr_slope": _slope,
    "regr_intercept": _intercept,
    "covar_pop": lambda sums: sums.sxy / sums.count if sums.count >= 1 else None,
    "covar_samp": lambda sums: sums.sxy / (sums.count - 1) if sums.count >= 2 else None,
    "corr": _correlation,
}


# ---------------------------------------------------------------- ordered sets


def _collect(values: list[Any], value: Any) -> list[Any]:
    values.append(value)
    return values


def _check_fraction(fraction: float) -> float:
    if not 0 <= fraction <= 1:
        raise SqlError("22003", f"percentile value {fraction:g} is not between 0 and 1")
    return fraction


def _continuous(between: Callable[[Any, Any, float], Any]) -> Callable[[list[Any], Any], Any]:
    """Return percentile_cont's final: `between(low, high, share)` interpolates."""

    def final(rows: list[Any], fraction: float | None) -> Any:
        if fraction is None or not rows:
            return None
        place = _check_fraction(fraction) * (len(rows) - 1)
        first = math.floor(place)
        if place == first:
            return rows[first]
        return between(rows[first], rows[first + 1], place - first)  # NaN between infinities

    return final


def _discrete(rows: list[Any], fraction: float | None) -> Any:
    if fraction is None or not rows:
        return None
    return rows[max(math.ceil(_check_fraction(fraction) * len(rows)), 1) - 1]


def _each(final: Callable[[list[Any], Any], Any]) -> Callable[[list[Any], Any], Any]:
    """Return the form that takes an array of fractions."""

    def finals(rows: list[Any], fractions: list[Any] | None) -> Any:
        if fractions is None or not rows:
            return None
        return [
            finals(rows, fraction) if isinstance(fraction, list) else final(rows, fraction)
            for fraction in fractions
        ]

    return finals


def _between_floats(low: float, high: float, share: float) -> float:
    return low + (high - low) * share


def _between_intervals(low: Any, high: Any, share: float) -> Any:
    return add_intervals(low, multiply(subtract_intervals(high, low), share))


class _Modes:
    """The most frequent of sorted values; the first of equally frequent ones."""

    def __init__(self, oid: int) -> None:
        self.key = registry.get(oid).hash_key or (lambda value: value)
        self.best: Any = None
        self.best_count = self.count = 0
        self.last: Any = None

    def add(self, value: Any) -> _Modes:
        key = self.key(value)
        self.count = self.count + 1 if self.count and key == self.last else 1
        self.last = key
        if self.count > self.best_count:
            self.best, self.best_count = value, self.count
        return self


def _define_percentile(key: str, final: Callable[[list[Any], Any], Any]) -> None:
    define_aggregate(key, list, _collect, final, gathers=True)


def _define_all() -> None:
    for name, sample, root in _VARIANCES:
        final = _final(sample, root)
        for type_name in ("int8", "int4", "int2", "numeric"):
            define_aggregate(f"{name}({type_name})", _Exact, _Exact.add, final)
        define_aggregate(f"{name}(float8) {name}(float4)", _Floats, _Floats.add, final)
    for name, final in _REGRESSIONS.items():
        define_aggregate(name, _Floats, _Floats.add_pair, final)
    for type_name, between in (("float8", _between_floats), ("interval", _between_intervals)):
        percentile = _continuous(between)
        _define_percentile(f"percentile_cont(float8,{type_name})", percentile)
        _define_percentile(f"percentile_cont(_float8,{type_name})", _each(percentile))
    _define_percentile("percentile_disc(float8,anyelement)", _discrete)
    _define_percentile("percentile_disc(_float8,anyelement)", _each(_discrete))
    define_aggregate(
        "mode",
        list,
        _Modes.add,
        lambda modes: modes.best,
        typed=lambda oid: {"initial": lambda: _Modes(oid)},
    )


_define_all()
