"""Binds set operations: their two sides get common column types, by casts inside or around them."""

from __future__ import annotations

from sqlglot import exp

from dsql.errors import SqlError
from dsql.sql import coercion
from dsql.sql.binding import Binding
from dsql.sql.bound import ColumnRef
from dsql.sql.bound_query import FromEntry, Query, SetOperation, SubqueryEntry, Target, ValuesEntry
from dsql.sql.scope import Scope
from dsql.sql.targets import TargetPair, order_and_limit, query_columns
from dsql.sql.walk import nodes


def combine(scope: Scope, tree: exp.Expression, operator: str, left: Query, right: Query) -> Query:
    """Return the set operation over two bound queries, their columns cast to common types."""
    lefts = [t for t in left.targets if not t.junk]
    rights = [t for t in right.targets if not t.junk]
    if len(lefts) != len(rights):
        raise SqlError(
            "42601",
            f"each {operator} query must have the same number of columns",
            position=rights[0].expression.position if rights else 0,
        )
    wanted = []
    for a, b in zip(lefts, rights, strict=True):
        type_oid = coercion.common_type_of([a.expression, b.expression], operator)
        same_typmod = a.expression.typmod == b.expression.typmod
        keeps = same_typmod and a.expression.type_oid == b.expression.type_oid == type_oid
        wanted.append((type_oid, a.expression.typmod if keeps else -1))
    query = Query(
        set_operation=SetOperation(
            operator.lower(),
            not tree.args["distinct"],
            cast_targets(scope.binding, left, wanted, operator),
            cast_targets(scope.binding, right, wanted, operator),
        )
    )
    pairs: list[TargetPair] = [
        (tree, Target(target.name, _output(index, target.name, *kind)))
        for index, (target, kind) in enumerate(zip(lefts, wanted, strict=True))
    ]
    _show_output(scope, pairs)
    order_and_limit(scope, query, tree, pairs)
    if any(target.junk for target in query.targets):
        raise SqlError(
            "0A000",
            "invalid UNION/INTERSECT/EXCEPT ORDER BY clause",
            detail="Only result column names can be used, not expressions or functions.",
            hint="Add the expression/function to every SELECT, "
            "or move the UNION into a FROM clause.",
            position=next(t.expression.position for t in query.targets if t.junk),
        )
    return query


def _output(index: int, name: str, type_oid: int, typmod: int) -> ColumnRef:
    return ColumnRef(type_oid=type_oid, typmod=typmod, entry=0, column=index, name=name)


def _show_output(scope: Scope, pairs: list[TargetPair]) -> None:
    """Let ORDER BY of a set operation see its output columns as entry 0."""
    from dsql.sql.scope import Item, ItemColumn

    columns = [ItemColumn(target.name, target.expression) for _, target in pairs]
    scope.items = [Item(None, columns)]


def cast_targets(
    binding: Binding, query: Query, wanted: list[tuple[int, int]], construct: str
) -> Query:
    """Return a query whose output columns have the wanted (type OID, typmod)s.

    Raises SqlError 42846 where one has no cast to the type that `construct` ("UNION") has found. Plain
    queries are changed in place; where the casts could change what DISTINCT, ORDER BY or a set operation
    see, a query around it makes them.
    """
    visible = [target for target in query.targets if not target.junk]
    pairs = list(zip(visible, wanted, strict=True))
    if all(target.expression.type_oid == type_oid for target, (type_oid, _) in pairs):
        return query
    if query.set_operation or query.order_by or query.distinct_on is not None or _has_values(query):
        query = wrapped(query)
        pairs = list(zip(query.targets, wanted, strict=True))
    for target, (type_oid, _) in pairs:
        target.expression = coercion.converted(binding, target.expression, type_oid, construct)
    return query


def _has_values(query: Query) -> bool:
    return any(isinstance(entry, ValuesEntry) for entry in query.range_table)


def wrapped(query: Query) -> Query:
    """Return SELECT * FROM (query)."""
    columns = query_columns(query)
    entry = SubqueryEntry(alias="*SELECT*", columns=columns, query=query)
    targets = [
        Target(column.name, _output(index, column.name, column.type_oid, column.typmod))
        for index, column in enumerate(columns)
    ]
    entry.query = _moved_in(query)
    return Query(range_table=[entry], from_items=[FromEntry(0)], targets=targets)


def _moved_in(query: Query) -> Query:
    """Push every reference that leaves a query one level further out."""
    from dsql.sql.bound import AggregateCall
    from dsql.sql.bound_query import CteEntry

    # BETWEEN reads its operand twice: one node at two places
    for node, depth in {id(node): (node, depth) for node, depth in nodes(query)}.values():
        if (
            isinstance(node, (ColumnRef, CteEntry, AggregateCall))
            and node.levels_up > depth - 1 >= 0
        ):
            node.levels_up += 1
    return query
