"""Functions and operators of multiranges, and of multiranges with ranges.

A range stands for the multirange of it alone, but in what asks for its bounds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dsql.errors import SqlError
from dsql.functions.definition import define, define_aggregate, rows_of_result
from dsql.functions.ranges import bounds_of
from dsql.types import registry
from dsql.types.array import dimensions, leaves
from dsql.types.range import (
    EMPTY,
    LOWER_INCLUSIVE,
    LOWER_INFINITE,
    UPPER_INCLUSIVE,
    UPPER_INFINITE,
    Bounds,
    Multirange,
    Range,
    of_range,
)

# A relation of two multiranges, each of them at least a range.
Relation = Callable[[Bounds, Multirange, Multirange], bool]


def _overlap(bounds: Bounds, left: Multirange, right: Multirange) -> bool:
    return bounds.any_overlap(left, right)


def _contains(bounds: Bounds, left: Multirange, right: Multirange) -> bool:
    return bounds.all_within(left, right)


def _contained(bounds: Bounds, left: Multirange, right: Multirange) -> bool:
    return bounds.all_within(right, left)


def _before(bounds: Bounds, left: Multirange, right: Multirange) -> bool:
    return bool(left and right) and bounds.before(left[-1], right[0])


def _after(bounds: Bounds, left: Multirange, right: Multirange) -> bool:
    return _before(bounds, right, left)


def _overleft(bounds: Bounds, left: Multirange, right: Multirange) -> bool:
    return bool(left and right) and bounds.ends_within(left[-1], right[-1])


def _overright(bounds: Bounds, left: Multirange, right: Multirange) -> bool:
    return bool(left and right) and bounds.begins_within(left[0], right[0])


def _adjacent(bounds: Bounds, left: Multirange, right: Multirange) -> bool:
    if not (left and right):
        return False
    return bounds.meet(left[-1], right[0]) or bounds.meet(right[-1], left[0])


_RELATIONS: dict[str, Relation] = {
    "overlaps": _overlap,
    "contains": _contains,
    "contained_by": _contained,
    "before": _before,
    "after": _after,
    "overleft": _overleft,
    "overright": _overright,
    "adjacent": _adjacent,
}
_PAIRS = (("range", "multirange"), ("multirange", "range"), ("multirange", "multirange"))


def _as_multirange(kind: str) -> Callable[[Any], Multirange]:
    return of_range if kind == "range" else lambda value: value


def _typed_relation(relation: Relation, left: str, right: str) -> Callable[..., Any]:
    first, second = _as_multirange(left), _as_multirange(right)

    def of_types(oid: int, _other: int) -> Callable[[Any, Any], bool]:
        bounds = bounds_of(oid)
        return lambda a, b: relation(bounds, first(a), second(b))

    return of_types


def _define_relations() -> None:
    for word, relation in _RELATIONS.items():
        for left, right in _PAIRS:
            typed = _typed_relation(relation, left, right)
            define(f"{left}_{word}_{right}", typed=typed)


def _contains_value(oid: int, _other: int) -> Callable[[Multirange, Any], bool]:
    bounds = bounds_of(oid)
    return lambda held, value: any(bounds.contains_value(each, value) for each in held)


def _value_contained(_value: int, oid: int) -> Callable[[Any, Multirange], bool]:
    contains = _contains_value(oid, 0)
    return lambda value, held: contains(held, value)


def _has(flag: int) -> Callable[[Multirange], bool]:
    """Return the function that tells of the outermost bound on one side whether it has a flag."""
    at = 0 if flag in (LOWER_INCLUSIVE, LOWER_INFINITE) else -1
    return lambda held: bool(held) and held[at][2] & flag != 0


def _define_parts() -> None:
    define("lower(anymultirange)", lambda held: held[0][0] if held else None)
    define("upper(anymultirange)", lambda held: held[-1][1] if held else None)
    define("isempty(anymultirange)", lambda held: not held)
    define("lower_inc(anymultirange)", _has(LOWER_INCLUSIVE))
    define("upper_inc(anymultirange)", _has(UPPER_INCLUSIVE))
    define("lower_inf(anymultirange)", _has(LOWER_INFINITE))
    define("upper_inf(anymultirange)", _has(UPPER_INFINITE))
    define("multirange_contains_elem", typed=_contains_value)
    define("elem_contained_by_multirange", typed=_value_contained)
    define("multirange", of_range)
    define("unnest(anymultirange)", lambda held: held)
    define("range_merge(anymultirange)", typed=lambda oid: bounds_of(oid).span)


def _union(oid: int, _other: int) -> Callable[[Multirange, Multirange], Multirange]:
    joined = bounds_of(oid).joined
    return lambda left, right: joined((*left, *right))


def multirange_constructor(oid: int) -> Callable[[list[Range | None]], Multirange]:
    """Return the function of an array of ranges. It raises SqlError 21000, 22004."""
    joined = bounds_of(oid).joined

    def construct(ranges: list[Range | None]) -> Multirange:
        if len(dimensions(ranges)) > 1:
            message = "multiranges cannot be constructed from multidimensional arrays"
            raise SqlError("21000", message)
        return joined(_not_null(each) for each in leaves(ranges))

    return construct


def _not_null(value: Range | None) -> Range:
    if value is None:
        raise SqlError("22004", "multirange values cannot contain null members")
    return value


def _define_constructors() -> None:
    for row in rows_of_result({kind.oid for kind in registry.all_types() if kind.kind == "m"}):
        if row.name != registry.get(row.return_type).name:
            continue
        if not row.argument_types:
            define(row.key, tuple)
        elif registry.get(row.argument_types[0]).kind == "r":
            define(row.key, of_range)
        else:
            define(row.key, multirange_constructor(row.return_type))


def _collect(items: list[Range], value: Range) -> list[Range]:
    items.append(value)
    return items


def _collect_all(items: list[Range], value: Multirange) -> list[Range]:
    items.extend(value or (EMPTY,))  # which tells that there was a value
    return items


def _finish(oid: int) -> dict[str, Any]:
    joined = bounds_of(oid).joined
    return {"final": lambda items: joined(items) if items else None}


def _intersection(oid: int) -> dict[str, Any]:
    common = bounds_of(oid).common
    return {"step": lambda held, value: value if held is None else common(held, value)}


_define_relations()
_define_parts()
_define_constructors()
define("multirange_union", typed=_union)
define("multirange_minus", typed=lambda oid, _other: bounds_of(oid).difference)
define("multirange_intersect", typed=lambda oid, _other: bounds_of(oid).common)
for _key, _step in (("range_agg(anyrange)", _collect), ("range_agg(anymultirange)", _collect_all)):
    define_aggregate(_key, list, _step, typed=_finish, gathers=True, any_order=True)
define_aggregate(
    "range_intersect_agg(anymultirange)",
    lambda: None,
    lambda held, _value: held,
    typed=_intersection,
    any_order=True,
)
