"""EXISTS as a lookup in a set that is made once.

`EXISTS (SELECT ... FROM u WHERE u.a = t.b AND u.c > 1)` asks whether t.b is among the a of `SELECT a FROM u
WHERE u.c > 1`, a query that reads nothing of t. Where an EXISTS cannot be a join (under OR, in the
select list), that saves running it for every row.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

from dsql.functions.function import Function
from dsql.planner.access_path import same_form
from dsql.planner.expressions import conjunction, conjuncts, strip_relabel, walk
from dsql.sql import bound, bound_query
from dsql.sql.bound import Expression
from dsql.sql.walk import nodes, raised
from dsql.types import registry


class Lookup(NamedTuple):
    """`values`, of the query around, are to be found together among the rows of `query`."""

    values: list[Expression]
    functions: list[Function]
    query: bound_query.Query


def is_joins_only(query: bound_query.Query) -> bool:
    """Return True for a query that is nothing but joins, conditions and expressions."""
    return bool(query.from_items) and is_plain(query)


def is_plain(query: bound_query.Query) -> bool:
    """Return True for a query that has a row for each one that WHERE lets in, FROM's or the lone one."""
    return not (
        query.set_operation
        or query.aggregated
        or query.grouping_sets is not None
        or query.having is not None
        or query.distinct_on is not None
        or query.order_by
        or query.limit is not None
        or query.offset is not None
        or query.ctes
        or query.row_marks
    ) and not any(
        isinstance(part, bound.WindowCall | bound.AggregateCall)
        or (isinstance(part, bound.Call) and part.function.returns_set)
        for target in query.targets
        for part in walk(target.expression)
    )


def exists_lookup(query: bound_query.Query) -> Lookup | None:
    """Return the lookup that an EXISTS of the query is, None if it is none."""
    plain = dataclasses.replace(query, order_by=[], distinct_on=None)
    if query.distinct_on or not is_joins_only(plain) or _reads(query.from_items, outside=True):
        return None
    if _reads(query.range_table, outside=True) or _is_volatile(query):
        return None
    parts = conjuncts(query.where)
    free = [part for part in parts if not _reads(part, outside=True)]
    pairs = [_pair(part) for part in parts if _reads(part, outside=True)]
    found = [pair for pair in pairs if pair is not None]
    if not found or len(found) < len(pairs):
        return None
    plain.where = conjunction(free)
    plain.targets = [bound_query.Target("key", key) for _, _, key in found]
    return Lookup([value for value, _, _ in found], [equal for _, equal, _ in found], plain)


def _reads(item: Any, *, outside: bool) -> bool:
    """Return True if something in a query reads columns of the queries around it, or else of its own."""
    items = item if isinstance(item, list) else [item]
    return any(
        isinstance(node, bound.ColumnRef | bound.AggregateCall)
        and (node.levels_up > depth if outside else node.levels_up == depth)
        for root in items
        for node, depth in nodes(root)
    )


def _is_volatile(query: bound_query.Query) -> bool:
    return any(
        isinstance(node, bound.Call)
        and (node.function.volatility == "v" or node.function.returns_set)
        for node, _ in nodes(query)
    )


def _pair(part: Expression) -> tuple[Expression, Function, Expression] | None:
    """Read an equality of an outer column and something inside: the column as read outside, and that."""
    if not (isinstance(part, bound.Call) and part.strategy == "="):
        return None
    left, right = part.arguments
    if not same_form(left.type_oid, right.type_oid) or registry.get(left.type_oid).hash_key:
        return None
    for value, key in ((left, right), (right, left)):
        column = strip_relabel(value)
        if (
            isinstance(column, bound.ColumnRef)
            and column.levels_up
            and not _reads(key, outside=True)
        ):
            return raised(value, -1), part.function, key
    return None
