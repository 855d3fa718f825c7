"""Functions and operators of ranges. What they do is `dsql.types.range.Bounds`; here are their names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dsql.errors import SqlError
from dsql.functions.definition import define, define_aggregate, rows_of_result
from dsql.types import registry
from dsql.types.calendar import SECOND
from dsql.types.numeric import EXACT
from dsql.types.range import (
    IS_EMPTY,
    LOWER_INCLUSIVE,
    LOWER_INFINITE,
    UPPER_INCLUSIVE,
    UPPER_INFINITE,
    Bounds,
    Range,
)

_FLAGS = {
    "[]": LOWER_INCLUSIVE | UPPER_INCLUSIVE,
    "[)": LOWER_INCLUSIVE,
    "(]": UPPER_INCLUSIVE,
    "()": 0,
}


def bounds_of(oid: int) -> Bounds:
    """Return how the bounds of a range or multirange type behave."""
    bounds = registry.get(oid).bounds
    assert bounds is not None, oid
    return bounds


def of_first(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return what makes the function of a method of `Bounds`, by the type of the first argument."""
    return lambda oid, *_others: method.__get__(bounds_of(oid))


def of_second(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return what makes the function of a method, its arguments exchanged."""

    def of_types(_left: int, oid: int) -> Callable[[Any, Any], Any]:
        function = method.__get__(bounds_of(oid))
        return lambda left, right: function(right, left)

    return of_types


def range_constructor(oid: int) -> Callable[..., Range]:
    """Return the function of two bounds and, if given, which of them are part of the range."""
    bounds = bounds_of(oid)

    def construct(lower: Any, upper: Any, inclusive: str | None = "[)") -> Range:
        if inclusive is None:
            raise SqlError("22000", "range constructor flags argument must not be null")
        flags = _FLAGS.get(inclusive)
        if flags is None:
            hint = 'Valid values are "[]", "[)", "(]", and "()".'
            raise SqlError("42601", "invalid range bound flags", hint=hint)
        return bounds.of(lower, upper, flags)

    return construct


def _intersection(oid: int) -> dict[str, Any]:
    intersect = bounds_of(oid).intersect
    return {"step": lambda held, value: value if held is None else intersect(held, value)}


def _define_constructors() -> None:
    for row in rows_of_result({kind.oid for kind in registry.all_types() if kind.kind == "r"}):
        if row.name == registry.get(row.return_type).name:
            define(row.key, range_constructor(row.return_type))


def _define_parts() -> None:
    define("lower(anyrange)", lambda held: held[0])
    define("upper(anyrange)", lambda held: held[1])
    for name, flag in (
        ("isempty", IS_EMPTY),
        ("lower_inc", LOWER_INCLUSIVE),
        ("upper_inc", UPPER_INCLUSIVE),
        ("lower_inf", LOWER_INFINITE),
        ("upper_inf", UPPER_INFINITE),
    ):
        define(f"{name}(anyrange)", template=f"(({{0}}[2] & {flag}) != 0)")


def _define_relations() -> None:
    for name, method in (
        ("range_overlaps", Bounds.overlap),
        ("range_contains", Bounds.contains),
        ("range_contains_elem", Bounds.contains_value),
        ("range_adjacent", Bounds.adjacent),
        ("range_before", Bounds.before),
        ("range_overleft", Bounds.ends_within),
        ("range_overright", Bounds.begins_within),
        ("range_union", Bounds.union),
        ("range_merge(anyrange,anyrange)", Bounds.merge),
        ("range_intersect", Bounds.intersect),
        ("range_minus", Bounds.minus),
    ):
        define(name, typed=of_first(method))
    define("range_contained_by", typed=of_second(Bounds.contains))
    define("elem_contained_by_range", typed=of_second(Bounds.contains_value))
    define("range_after", typed=of_second(Bounds.before))


_define_constructors()
_define_parts()
_define_relations()
define(
    "int4range_canonical int8range_canonical daterange_canonical", lambda held: held
)  # as every value is
_DISCRETE = "int4range_subdiff int8range_subdiff daterange_subdiff"
define(_DISCRETE, lambda left, right: float(left - right))
define("numrange_subdiff", lambda left, right: float(EXACT.subtract(left, right)))
define("tsrange_subdiff tstzrange_subdiff", lambda left, right: (left - right) / SECOND)
define_aggregate(
    "range_intersect_agg(anyrange)",
    lambda: None,
    lambda held, _value: held,
    typed=_intersection,
    any_order=True,
)
