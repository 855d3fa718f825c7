"""Which views are automatically updatable, and why others are not (PostgreSQL's rewriteHandler.c)."""

from __future__ import annotations

from dsql.sql.bound import AggregateCall, Call, ColumnRef, Expression, WindowCall
from dsql.sql.bound_query import (
    FromEntry,
    Query,
    SubqueryEntry,
    TableEntry,
    Target,
    VirtualEntry,
)
from dsql.sql.query_names import visible
from dsql.sql.walk import nodes

_NOT_OF_BASE = "View columns that are not columns of their base relation are not updatable."


def why_not_updatable(query: Query, *, needs_column: bool = False) -> str:
    """Return the DETAIL that tells why a view of this query is not automatically updatable, "" if it is.

    `needs_column`: it must have a column that can be assigned, too.
    """
    for clause, present in (
        ("DISTINCT", query.distinct_on is not None),
        ("GROUP BY", bool(query.group_by) or (query.grouping_sets or [[]]) != [[]]),
        ("HAVING", query.having is not None),
        ("UNION, INTERSECT, or EXCEPT", query.set_operation is not None),
        ("WITH", bool(query.ctes)),
        ("LIMIT or OFFSET", query.limit is not None or query.offset is not None),
    ):
        if present:
            return f"Views containing {clause} are not automatically updatable."
    for what, kind in (("aggregate", AggregateCall), ("window", WindowCall)):
        if any(_calls(target.expression, kind) for target in query.targets):
            return f"Views that return {what} functions are not automatically updatable."
    if any(_returns_set(target.expression) for target in query.targets):
        return "Views that return set-returning functions are not automatically updatable."
    if not _has_one_relation(query):
        return (
            "Views that do not select from a single table or view are not automatically updatable."
        )
    if needs_column and all(map(why_not_assignable, visible(query))):
        return "Views that have no updatable columns are not automatically updatable."
    return ""


def why_not_assignable(target: Target) -> str:
    """Return the DETAIL that tells why a column of an updatable view cannot be assigned, "" if it can."""
    column = target.expression
    is_column = isinstance(column, ColumnRef) and column.levels_up == 0 and column.entry == 0
    return "" if is_column else _NOT_OF_BASE


def _has_one_relation(query: Query) -> bool:
    if len(query.from_items) != 1 or not isinstance(query.from_items[0], FromEntry):
        return False
    entry = query.range_table[query.from_items[0].entry]
    is_view = isinstance(entry, SubqueryEntry) and entry.view is not None
    return is_view or isinstance(entry, TableEntry | VirtualEntry)


def _calls(expression: Expression, kind: type) -> bool:
    return any(isinstance(node, kind) and depth == 0 for node, depth in nodes(expression))


def _returns_set(expression: Expression) -> bool:
    return any(
        isinstance(node, Call) and node.function.returns_set and depth == 0
        for node, depth in nodes(expression)
    )
