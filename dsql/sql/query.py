"""Binds queries: SELECT, VALUES, set operations and WITH.

Every `Query` is one level for `levels_up`, the two sides of a set operation included.
"""

from __future__ import annotations

from sqlglot import exp

from dsql.errors import SqlError
from dsql.sql import coercion
from dsql.sql.binding import Binding
from dsql.sql.bound_query import FromEntry, Query, Target, ValuesEntry
from dsql.sql.calls import clause
from dsql.sql.expressions import bind_boolean
from dsql.sql.from_clause import bind_from
from dsql.sql.grouping import bind_group_by, check_grouping, check_target_count
from dsql.sql.row_locks import bind_row_marks
from dsql.sql.scope import Scope
from dsql.sql.set_operations import combine
from dsql.sql.targets import (
    TargetPair,
    bind_distinct,
    bind_limit,
    bind_order_by,
    bind_targets,
    order_and_limit,
)
from dsql.sql.values import bind_values

_SET_NAMES: dict[type[exp.Expression], str] = {
    exp.Union: "UNION",
    exp.Intersect: "INTERSECT",
    exp.Except: "EXCEPT",
}


def bind_query(scope: Scope, tree: exp.Expression, *, settle: bool = True) -> Query:
    """Bind a query in a fresh scope. Without `settle` unknown-typed output columns stay unknown."""
    from dsql.sql.ctes import bind_with

    if tree.args.get("with_") is not None:
        bind_with(scope, tree.args["with_"])
    if isinstance(tree, exp.Select):
        query = _select(scope, tree, settle)
    elif isinstance(tree, exp.Values):
        query = _values_query(scope, tree)
    else:
        query = _set_operation(scope, tree)
    query.ctes = scope.ctes
    check_target_count(len(query.targets))
    return query


# ---------------------------------------------------------------- SELECT


def _select(scope: Scope, tree: exp.Select, settle: bool) -> Query:
    args = tree.args
    query = Query(range_table=scope.range_table)
    query.from_items = bind_from(scope, args.get("from_"))
    scope.windows = {w.this.args["this"]: w for w in args.get("windows") or ()}
    if len(scope.windows) != len(args.get("windows") or ()):
        raise SqlError("42P20", "window is already defined")
    with clause(scope, "SELECT"):
        pairs = bind_targets(scope, tree.expressions)
    if args.get("where") is not None:
        with clause(scope, "WHERE"):
            query.where = bind_boolean(scope, args["where"].this, "WHERE")
    if args.get("having") is not None:
        with clause(scope, "HAVING"):
            query.having = bind_boolean(scope, args["having"].this, "HAVING")
        scope.aggregated = True
    if args.get("order") is not None:
        with clause(scope, "ORDER BY"):
            distinct = args.get("distinct")
            plain = distinct is not None and distinct.args.get("on") is None
            query.order_by = bind_order_by(scope, args["order"], pairs, plain)
    if args.get("group") is not None:
        with clause(scope, "GROUP BY"):
            bind_group_by(scope, query, args["group"], pairs)
    if args.get("distinct") is not None:
        bind_distinct(scope, query, args["distinct"], pairs)
    if settle:
        _settle(scope.binding, pairs)
    query.targets = [target for _, target in pairs]
    bind_limit(scope, query, tree)
    _finish_grouping(scope, query)
    if args.get("locks"):
        bind_row_marks(scope, query, args["locks"])
    return query


def _finish_grouping(scope: Scope, query: Query) -> None:
    if scope.aggregated or query.grouping_sets is not None:
        query.aggregated = True
        if query.grouping_sets is None:
            query.grouping_sets = [[]]
        check_grouping(query)


def _settle(binding: Binding, pairs: list[TargetPair]) -> None:
    """What has no type by the end of a query is text."""
    for _, target in pairs:
        target.expression = coercion.known(binding, target.expression)


# ---------------------------------------------------------------- ORDER BY, DISTINCT, LIMIT


# ---------------------------------------------------------------- FOR UPDATE


# ---------------------------------------------------------------- VALUES


def _values_query(scope: Scope, tree: exp.Expression) -> Query:
    rows, columns = bind_values(scope, tree)
    item = scope.add_item(ValuesEntry(alias="*VALUES*", columns=columns, rows=rows))
    pairs: list[TargetPair] = [
        (tree, Target(column.name, column.expression)) for column in item.columns
    ]
    query = Query(range_table=scope.range_table, from_items=[FromEntry(item.entry)])
    order_and_limit(scope, query, tree, pairs)
    return query


# ---------------------------------------------------------------- set operations


def _set_operation(scope: Scope, tree: exp.Expression) -> Query:
    operator = _SET_NAMES[type(tree)]
    left = bind_query(scope.child(), tree.this, settle=False)
    right = bind_query(scope.child(), tree.args["expression"], settle=False)
    return combine(scope, tree, operator, left, right)
