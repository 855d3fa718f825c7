"""The functions behind indexes and aggregates: btint4cmp, int4larger, text_pattern_lt and their kin.

They order values as the operators of their types do. Strings are in the order of their characters' code
points, so the orders of text and of text_pattern_ops are the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from dsql.functions.comparison import compare_of, record_order
from dsql.functions.definition import Row, define, rows_named
from dsql.types import oids

_COMPARED = re.compile(r"bt(?!recordimage)\w+cmp|\w+_cmp|bpcharcmp|byteacmp|(?:var)?bitcmp|xid8cmp")
_PATTERN_ORDERS = {"lt": "<", "le": "<=", "ge": ">=", "gt": ">"}


def _order(left: int, _right: int) -> Callable[[Any, Any], int]:
    """Return the three-way comparison of values of a type."""
    if left == oids.RECORD:
        return record_order
    if left == oids.BPCHAR:
        return lambda a, b: _three_way(a.rstrip(" "), b.rstrip(" "))
    less = compare_of("<", left)
    return lambda a, b: -1 if less(a, b) else int(less(b, a))


def _three_way(left: Any, right: Any) -> int:
    return int(left > right) - int(left < right)


def _chosen(name: str) -> Callable[..., Callable[[Any, Any], Any]]:
    """Return what makes the larger or the smaller of two values; of equal ones the second."""
    symbol = ">" if name.endswith("larger") else "<"
    if name.startswith("bpchar"):
        symbol += "="

    def of_types(left: int, _right: int) -> Callable[[Any, Any], Any]:
        compare = compare_of(symbol, left)
        return lambda a, b: a if compare(a, b) else b

    return of_types


def _pattern(row: Row) -> Callable[[Any, Any], bool]:
    compare = compare_of(_PATTERN_ORDERS[row.name[-2:]], oids.TEXT)
    if row.argument_types[0] == oids.BPCHAR:
        return lambda a, b: compare(a.rstrip(" "), b.rstrip(" "))
    return compare


def _define_all() -> None:
    for row in rows_named(re.compile(r"(text|bpchar)_pattern_(lt|le|ge|gt)")):
        define(row.key, _pattern(row))
    for row in rows_named(_COMPARED):
        if row.name != "enum_cmp":
            _define(row, _order)
    for row in rows_named(re.compile(r"\w*(larger|smaller)")):
        if not row.name.startswith("enum_"):
            _define(row, _chosen(row.name))


def _define(row: Row, of_types: Callable[..., Callable[[Any, Any], Any]]) -> None:
    if row.argument_types[0] in (oids.ANYARRAY, oids.ANYRANGE, oids.ANYMULTIRANGE):
        define(row.key, typed=of_types)
    else:
        define(row.key, of_types(*row.argument_types))


_define_all()
