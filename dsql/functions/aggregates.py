"""count, sum, avg, min, max, boolean, bit, string, array and JSON aggregates.

Accumulators start as None where the aggregate of no rows is NULL.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any

from dsql.errors import SqlError
from dsql.functions import bits
from dsql.functions.arithmetic import check_float8, check_int8
from dsql.functions.date_arithmetic import add_intervals, divide
from dsql.functions.definition import define_aggregate
from dsql.functions.function import Context
from dsql.functions.json_build import key_text, record_text, value_text
from dsql.functions.numerics import numeric_div
from dsql.functions.templates import export
from dsql.types import registry
from dsql.types.array import lower_bounds, shifted
from dsql.types.floating import round_float4
from dsql.types.json import normalize, quote
from dsql.types.money import check_money
from dsql.types.numeric import EXACT, checked
from dsql.types.size import join, join_kept


def _nothing() -> None:
    return None


def _first_or(combine: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Return the step that starts with the first value and then combines."""
    return lambda accumulator, value: value if accumulator is None else combine(accumulator, value)


def _mean_step(accumulator: list[Any], value: Any) -> list[Any]:
    accumulator[0] += 1
    accumulator[1] = accumulator[1] + value
    return accumulator


def _numeric_mean_step(accumulator: list[Any], value: Decimal) -> list[Any]:
    accumulator[0] += 1
    accumulator[1] = EXACT.add(accumulator[1], value)
    return accumulator


def _interval_mean_step(accumulator: list[Any], value: Any) -> list[Any]:
    accumulator[0] += 1
    accumulator[1] = add_intervals(accumulator[1], value)
    return accumulator


def _integer_mean(accumulator: list[Any]) -> Decimal | None:
    count, total = accumulator
    return numeric_div(checked(Decimal(total)), Decimal(count)) if count else None


def _float_mean(accumulator: list[Any]) -> float | None:
    count, total = accumulator
    return total / count if count else None


def _interval_mean(accumulator: list[Any]) -> Any:
    count, total = accumulator
    return divide(total, float(count)) if count else None


@export
def larger_of(left: Any, right: Any) -> Any:
    """Return the larger of a running maximum (None at first) and a value that Python orders."""
    return right if left is None or right > left else left


@export
def smaller_of(left: Any, right: Any) -> Any:
    """Return the smaller of a running minimum (None at first) and a value that Python orders."""
    return right if left is None or right < left else left


_ORDERED = "int8 int4 int2 oid date time timestamp timestamptz text tid pg_lsn xid8 money"
_KEYED = "float4 float8 timetz interval numeric bpchar inet"


def _by_key(key: Callable[[Any], Any], name: str) -> Callable[[Any, Any], Any]:
    """Return the step by sort key; of equal values (1.5 and 1.50) the later one stays."""
    if name == "max":
        return lambda held, value: held if held is not None and key(held) > key(value) else value
    return lambda held, value: held if held is not None and key(held) < key(value) else value


def _define_extremes() -> None:
    for name, step in (("max", larger_of), ("min", smaller_of)):
        template = f"{step.__name__}({{0}}, {{1}})"
        for type_name in _ORDERED.split():
            define_aggregate(
                f"{name}({type_name})", _nothing, step, step_template=template, any_order=True
            )
        for type_name in _KEYED.split():
            known = registry.find(type_name)
            assert known is not None
            assert known.sort_key is not None
            define_aggregate(f"{name}({type_name})", _nothing, _by_key(known.sort_key, name))
        # The accumulator carries the key of the element type: [key, best array].
        define_aggregate(
            f"{name}(anyarray)",
            _nothing,
            _array_extreme(name),
            lambda accumulator: accumulator[1],
            typed=lambda oid: {"initial": lambda: [registry.get(oid).sort_key, None]},
        )


def _array_extreme(name: str) -> Callable[[Any, Any], Any]:
    def step(accumulator: list[Any], value: Any) -> list[Any]:
        accumulator[1] = _by_key(accumulator[0], name)(accumulator[1], value)
        return accumulator

    return step


def _define_sums() -> None:
    add = "({1} if {0} is None else {0} + {1})"
    define_aggregate(
        "sum(int4) sum(int2)",
        _nothing,
        _first_or(lambda a, b: a + b),
        lambda total: None if total is None else check_int8(total),
        step_template=add,
        any_order=True,
    )
    define_aggregate(
        "sum(int8)",
        _nothing,
        _first_or(lambda a, b: a + b),
        lambda total: None if total is None else Decimal(total),
        step_template=add,
        any_order=True,
    )
    define_aggregate(
        "sum(numeric)",
        _nothing,
        _first_or(EXACT.add),
        lambda total: None if total is None else checked(total),
        any_order=True,
    )
    define_aggregate("sum(float8)", _nothing, _first_or(lambda a, b: check_float8(a + b, a, b)))
    define_aggregate("sum(float4)", _nothing, _first_or(lambda a, b: round_float4(a + b)))
    define_aggregate("sum(money)", _nothing, _first_or(lambda a, b: check_money(a + b)))
    define_aggregate("sum(interval)", _nothing, _first_or(add_intervals))
    define_aggregate(
        "avg(int8) avg(int4) avg(int2)",
        lambda: [0, 0],
        _mean_step,
        _integer_mean,
        any_order=True,
    )
    define_aggregate(
        "avg(numeric)",
        lambda: [0, Decimal(0)],
        _numeric_mean_step,
        _integer_mean,
        any_order=True,
    )
    define_aggregate("avg(float8) avg(float4)", lambda: [0, 0.0], _mean_step, _float_mean)
    define_aggregate("avg(interval)", lambda: [0, (0, 0, 0)], _interval_mean_step, _interval_mean)


def _define_counts_and_bits() -> None:
    def define(
        keys: str, initial: Callable[..., Any], step: Callable[..., Any], template: str = ""
    ) -> None:
        define_aggregate(keys, initial, step, step_template=template, any_order=True)

    define("count()", int, lambda count: count + 1, "({0} + 1)")
    define("count(any)", int, lambda count, _value: count + 1, "({0} + 1)")
    define("bool_and every", _nothing, _first_or(lambda a, b: a and b))
    define("bool_or", _nothing, _first_or(lambda a, b: a or b))
    for type_name in ("int2", "int4", "int8"):
        define(f"bit_and({type_name})", _nothing, _first_or(lambda a, b: a & b))
        define(f"bit_or({type_name})", _nothing, _first_or(lambda a, b: a | b))
        define(f"bit_xor({type_name})", _nothing, _first_or(lambda a, b: a ^ b))
    for name, combine in bits.COMBINED.items():
        define(f"bit_{name}(bit)", _nothing, _first_or(combine))
    define_aggregate("any_value", _nothing, lambda held, value: value if held is None else held)


def _collect(items: list[Any], value: Any) -> list[Any]:
    items.append(value)
    return items


def _as_array(items: list[Any]) -> list[Any] | None:
    return items.copy() or None  # a window goes on gathering


def _define_string_agg(key: str, empty: Any) -> None:
    """Gather texts, each behind its own separator, leaving out NULLs; the first separator goes."""

    def collect(items: list[Any], value: Any, separator: Any) -> list[Any]:
        if value is not None:
            items.extend((separator or empty, value))
        return items

    def finish(items: list[Any]) -> Any:
        if not items:
            return None
        items[0] = empty
        return join_kept(empty, items)

    step = f"({{0}} if {{1}} is None else {{0}}.extend(({{2}} or {empty!r}, {{1}})) or {{0}})"
    define_aggregate(key, list, collect, finish, step_template=step, keeps_nulls=True, gathers=True)


def _as_nested_array(items: list[Any]) -> list[Any] | None:
    if any(len(item) != len(items[0]) for item in items):
        raise _dimensionality()  # of parts that were gathered apart
    return shifted([list(item) for item in items], (1, *lower_bounds(items[0]))) if items else None


def _dimensionality() -> SqlError:
    return SqlError("2202E", "cannot accumulate arrays of different dimensionality")


def _collect_array(items: list[Any], value: Any) -> list[Any]:
    if value is None:
        raise SqlError("22004", "cannot accumulate null arrays")
    if not value:
        raise SqlError("2202E", "cannot accumulate empty arrays")
    items.append(value)
    if len(items[0]) != len(value) or lower_bounds(items[0]) != lower_bounds(value):
        raise _dimensionality()
    return items


Finish = Callable[[str | None], str | None]


def _elements(finish: Finish, oid: int) -> dict[str, Any]:
    """Return what json_agg is of a type; texts are made at once, since values may not be kept."""
    composite = registry.is_composite(oid) or registry.get(oid).category == "A"

    def item(context: Context, value: Any) -> str:
        if value is not None and registry.is_composite(oid):
            return record_text(context, value, ",")
        return value_text(context, oid, value)

    def final(texts: list[str]) -> str | None:
        text = "[" + join(", \n " if composite else ", ", texts) + "]" if texts else None
        return finish(text)

    return {"item": item, "final": final}


def _members(finish: Finish, key_oid: int, oid: int) -> dict[str, Any]:
    """Return what json_object_agg is of the types of key and value."""

    def item(context: Context, key: Any, value: Any) -> str:
        if key is None:
            raise SqlError("22023", "field name must not be null")
        name = key_text(context, key_oid, key, 1)
        return f"{quote(name)} : {value_text(context, oid, value)}"

    def final(texts: list[str]) -> str | None:
        return finish("{ " + join(", ", texts) + " }" if texts else None)

    return {"item": item, "final": final}


def _define_json(prefix: str, finish: Finish) -> None:
    for name, typed in (("agg", _elements), ("object_agg", _members)):
        define_aggregate(
            f"{prefix}_{name}",
            list,
            _collect,
            step_template="({0}.append({1}) or {0})",
            keeps_nulls=True,
            gathers=True,
            typed=partial(typed, finish),
        )


def _as_jsonb(text: str | None) -> str | None:
    return None if text is None else normalize(text)


_define_counts_and_bits()
_define_sums()
_define_extremes()
define_aggregate(
    "array_agg(anynonarray)",
    list,
    _collect,
    _as_array,
    step_template="({0}.append({1}) or {0})",
    keeps_nulls=True,
    gathers=True,
)
define_aggregate(
    "array_agg(anyarray)", list, _collect_array, _as_nested_array, keeps_nulls=True, gathers=True
)
_define_string_agg("string_agg(text,text)", "")
_define_string_agg("string_agg(bytea,bytea)", b"")
_define_json("json", lambda text: text)
_define_json("jsonb", _as_jsonb)
