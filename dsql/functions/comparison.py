"""The operators = <> < <= > >= of every type, and the boolean operators.

Which functions exist is read off pg_operator's rows; how two values compare follows from their types:
most compare as Python values, the others through their type's keys or a conversion to a common form.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from decimal import InvalidOperation
from typing import Any

from dsql.errors import SqlError
from dsql.functions.definition import define, operator_rows, row_by_oid, type_oid
from dsql.functions.function import Context
from dsql.functions.timestamps import date_to_timestamp, local_to_instant
from dsql.types import array, oids, registry
from dsql.types.floating import nan_last
from dsql.types.numeric import nan_last as numeric_nan_last
from dsql.types.record import Record

Compare = Callable[[Any, Any], bool]

_PYTHON: dict[str, Compare] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_SYMBOLS = {"=": "==", "<>": "!="}
_NATURAL = frozenset(
    type_oid(name)
    for name in (
        "bool", "int2", "int4", "int8", "oid", "text", "name", "char", "bytea", "uuid", "date", "time",
        "timestamp", "timestamptz", "xid", "cid", "xid8", "tid", "pg_lsn", "int2vector",
        "bit", "varbit", "macaddr", "macaddr8", "money",
    )
)  # fmt: skip
_FLOATS = frozenset((oids.FLOAT4, oids.FLOAT8))


def float_compare(name: str) -> Compare:
    """Return a comparison of floats under which NaN equals itself and is above everything."""
    compare = _PYTHON[name]

    def with_nan(left: float, right: float) -> bool:
        if left == left and right == right:
            return compare(left, right)
        return compare(nan_last(left), nan_last(right))

    return with_nan


def numeric_compare(name: str) -> Compare:
    """Return a comparison of Decimals under which NaN equals itself and is above everything."""
    compare = _PYTHON[name]

    def with_nan(left: Any, right: Any) -> bool:
        try:
            if left.is_nan() or right.is_nan():
                return compare(numeric_nan_last(left), numeric_nan_last(right))
            return compare(left, right)
        except InvalidOperation:
            return compare(numeric_nan_last(left), numeric_nan_last(right))

    return with_nan


def keyed_compare(name: str, oid: int) -> Compare:
    """Return the comparison of one type's values through its hash key (=, <>) or sort key."""
    known = registry.get(oid)
    key = known.hash_key if name in ("=", "<>") else known.sort_key
    compare = _PYTHON[name]
    if key is None:
        return compare
    by = key
    return lambda left, right: compare(by(left), by(right))


def compare_of(name: str, oid: int) -> Compare:
    """Return the comparison `name` of two values of a type (for elements, min, max and sorting)."""
    if oid in _NATURAL:
        return _PYTHON[name]
    if oid in _FLOATS:
        return float_compare(name)
    return numeric_compare(name) if oid == oids.NUMERIC else keyed_compare(name, oid)


def record_key(value: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the sort and hash key of a record: fields in order, NULL equal to itself and last."""
    oids_of = value.oids if isinstance(value, Record) else (None,) * len(value)
    return tuple(
        (1, 0) if item is None else (0, _field_key(oid, item))
        for oid, item in zip(oids_of, value, strict=True)
    )


def _field_key(oid: int | None, item: Any) -> Any:
    """Return the key of a record's field, whose type is known unless nothing has made the record."""
    if oid is None or oid == oids.RECORD:
        return record_key(item) if isinstance(item, tuple) else item
    key = registry.get(oid).sort_key
    return item if key is None else key(item)


def compare_records(
    left: tuple[Any, ...], right: tuple[Any, ...], key: Callable[[int | None, Any], Any]
) -> int:
    """Return -1, 0 or 1 by the keys of the first fields that differ; NULL equals itself and comes last.

    Raises SqlError 42804 where fields that are looked at are of different types, or one record has more.
    """
    for number, (first, second) in enumerate(zip(left, right, strict=False), 1):
        one, other = _field_type(left, number), _field_type(right, number)
        if one != other and one is not None and other is not None:
            names = " and ".join(registry.get(oid).sql_name for oid in (one, other))
            message = f"cannot compare dissimilar column types {names} at record column {number}"
            raise SqlError("42804", message)
        if first is None or second is None:
            found = int(first is None) - int(second is None)
        else:
            keys = key(one, first), key(one, second)
            found = int(keys[0] > keys[1]) - int(keys[0] < keys[1])
        if found:
            return found
    if len(left) != len(right):
        raise SqlError("42804", "cannot compare record types with different numbers of columns")
    return 0


def _field_type(record: tuple[Any, ...], number: int) -> int | None:
    return record.oids[number - 1] if isinstance(record, Record) and record.oids else None


def record_order(left: tuple[Any, ...], right: tuple[Any, ...]) -> int:
    """Return the three-way comparison of records. It raises SqlError 42804."""
    return compare_records(left, right, _field_key)


def _record_compare(name: str) -> Compare:
    compare = _PYTHON[name]
    return lambda left, right: compare(record_order(left, right), 0)


def _define_row(name: str, left: int, right: int, key: str) -> None:
    if left == right == oids.ANYENUM:
        define(key, _PYTHON[name], template=f"({{0}} {_SYMBOLS.get(name, name)} {{1}})")
    elif left == right == oids.ANYARRAY:
        define(key, typed=lambda oid, _right: _array_compare(name, oid))
    elif left == right and left in (oids.ANYRANGE, oids.ANYMULTIRANGE):
        define(key, typed=lambda oid, _right: keyed_compare(name, oid))
    elif left == right == oids.RECORD:
        define(key, _record_compare(name))
    elif left in _NATURAL and right in _NATURAL and not _crosses_time(left, right):
        define(key, _PYTHON[name], template=f"({{0}} {_SYMBOLS.get(name, name)} {{1}})")
    elif left in _FLOATS:
        define(key, float_compare(name))
    elif left == right:
        define(key, compare_of(name, left))
    else:
        _define_cross_time(name, left, right, key)


def _array_compare(name: str, oid: int) -> Compare:
    element = registry.get(registry.get(oid).element_oid)
    key = element.hash_key if name in ("=", "<>") else element.sort_key
    by = array.hash_key(key) if name in ("=", "<>") else array.sort_key(key)
    compare = _PYTHON[name]
    return lambda left, right: compare(by(left), by(right))


_TIME_TYPES = frozenset((oids.DATE, oids.TIMESTAMP, oids.TIMESTAMPTZ))


def _crosses_time(left: int, right: int) -> bool:
    return left != right and left in _TIME_TYPES


def _define_cross_time(name: str, left: int, right: int, key: str) -> None:
    """Compare date, timestamp and timestamptz with each other; the session's zone decides."""
    compare = _PYTHON[name]
    if oids.TIMESTAMPTZ not in (left, right):
        forms = [date_to_timestamp if oid == oids.DATE else int for oid in (left, right)]
        first, second = forms
        define(key, lambda a, b: compare(first(a), second(b)))
        return

    def instant(context: Context, oid: int, value: int) -> int:
        if oid == oids.TIMESTAMPTZ:
            return value
        return local_to_instant(context, date_to_timestamp(value) if oid == oids.DATE else value)

    define(
        key,
        lambda context, a, b: compare(instant(context, left, a), instant(context, right, b)),
        needs_context=True,
    )


def _define_comparisons() -> None:
    done: set[int] = set()
    for _oid, name, left, right, code, *_rest in operator_rows():
        if name not in _PYTHON or int(code) in done:
            continue
        done.add(int(code))
        row = row_by_oid(int(code))
        arguments = ",".join(registry.get(oid).name for oid in row.argument_types)
        _define_row(name, type_oid(left), type_oid(right), f"{row.name}({arguments})")


_define_comparisons()
