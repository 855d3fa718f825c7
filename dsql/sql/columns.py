"""Expressions the catalog keeps as text: defaults, generated columns, checks, index keys and predicates.

All see the table's live columns as entry 0 of the range table. What DDL stores has passed
`bind_column_expression` once, so that binding it again for a statement does not fail.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from dsql.catalog.schema import Column, Index, Table
from dsql.catalog.sequences import NEXT_OF_COLUMN
from dsql.errors import SqlError
from dsql.sql import coercion
from dsql.sql.binding import Binding, type_name
from dsql.sql.bound import Call, Constant, Expression, TextCast
from dsql.sql.bound_query import EntryColumn, Query, TableEntry
from dsql.sql.calls import clause
from dsql.sql.domains import column_check, column_default
from dsql.sql.expressions import bind_expression
from dsql.sql.gate import parse_expression
from dsql.sql.scope import Scope
from dsql.sql.tree import TreeBuilder
from dsql.sql.uses import Use
from dsql.sql.walk import nodes
from dsql.types import oids

_SUBQUERY_REFUSALS = {
    "DEFAULT expressions": "cannot use subquery in DEFAULT expression",
    "check constraints": "cannot use subquery in check constraint",
    "index expressions": "cannot use subquery in index expression",
    "index predicates": "cannot use subquery in index predicate",
    "column generation expressions": "cannot use subquery in column generation expression",
    "EXECUTE parameters": "cannot use subquery in EXECUTE parameter",
}


@dataclass(slots=True)
class Stored:
    """The bound stored expressions of a table that a write to it needs."""

    generated: list[tuple[int, Expression]] = field(default_factory=list)
    checks: list[tuple[str, Expression]] = field(default_factory=list)
    index_expressions: dict[tuple[int, int], Expression] = field(default_factory=dict)
    index_predicates: dict[int, Expression] = field(default_factory=dict)


@lru_cache(4096)
def _tree(text: str) -> Any:
    """Return the tree of a stored expression; binding does not change trees."""
    statement, node = parse_expression(text)
    return TreeBuilder(statement).expression(node)


def stored_scope(binding: Binding, table: Table | None) -> Scope:
    """Return a scope that sees a table's columns as entry 0, nothing without a table."""
    scope = Scope(binding.for_stored_text(folding=binding.folding))
    if table is not None:
        scope.add_item(row_entry(table))
    return scope


def row_entry(table: Table, alias: str = "", use: Use | None = None) -> TableEntry:
    """Return the entry of a row of a table under its own name or an alias."""
    columns = [
        EntryColumn(column.name, column.type_oid, column.typmod, table.oid, column.number)
        for column in table.columns
        if not column.dropped
    ]
    return TableEntry(alias=alias or table.name, columns=columns, use=use, table=table)


def bind_stored(scope: Scope, text: str, what: str) -> Expression:
    """Bind a stored expression; `what` names the place for refusals ("check constraints")."""
    tree = _tree(text)
    with clause(scope, what):
        bound = bind_expression(scope, tree)
    refuse_subqueries(bound, what)
    return bound


def refuse_subqueries(bound: Expression, what: str) -> None:
    """Raise SqlError 0A000 for a subquery where `what` may hold none."""
    refusal = _SUBQUERY_REFUSALS.get(what)
    if refusal is not None and any(isinstance(node, Query) for node, _ in nodes(bound)):
        raise SqlError("0A000", refusal)


def bind_default(binding: Binding, table: Table, column: Column) -> Expression | None:
    """Return a column's default as a value of its type; None if it is NULL.

    Identity columns take theirs from their sequence.
    """
    text = column_default(column, binding.catalog)
    if column.identity:
        bound = _next_of_column(binding.catalog.identity_sequence(table.oid, column.number))
    elif text is None or column.generated:
        return None
    else:
        bound = bind_stored(stored_scope(binding, None), text, "DEFAULT expressions")
    return coercion.assign(binding, bound, column.type_oid, column.typmod, column.name)


def _next_of_column(sequence: Table) -> Expression:
    oid = Constant(type_oid=oids.REGCLASS, value=sequence.oid)
    return Call(type_oid=oids.INT8, function=NEXT_OF_COLUMN, arguments=[oid])


def bind_row_expressions(binding: Binding, table: Table) -> Stored:
    """Bind what every written row of a table goes through."""
    stored = Stored()
    has_any = table.checks or any(
        (column.generated or column.domain) and not column.dropped for column in table.columns
    )
    scope = stored_scope(binding, table) if has_any else None
    for column in table.columns:
        if column.generated and not column.dropped and column.default is not None:
            assert scope is not None
            bound = bind_stored(scope, column.default, "column generation expressions")
            done = coercion.assign(binding, bound, column.type_oid, column.typmod, column.name)
            stored.generated.append((column.number, done))
    for column in table.live_columns:
        if column.domain:
            assert scope is not None
            passes = column_check(binding, column, scope.column(column.name, 0))
            if passes is not None:
                stored.checks.append((column.name, passes))
    for check in sorted(table.checks, key=lambda check: check.name):  # as PostgreSQL evaluates them
        assert scope is not None
        bound = bind_stored(scope, check.expression, "check constraints")
        stored.checks.append((check.name, coercion.boolean(binding, bound, "CHECK")))
    bind_index_expressions(binding, table, stored)
    return stored


def bind_index_expressions(binding: Binding, table: Table, stored: Stored) -> None:
    """Bind the expression keys and the predicates of a table's indexes into `stored`."""
    for index in table.indexes:
        if index.predicate is None and all(part.column_number for part in index.columns):
            continue
        scope = stored_scope(binding, table)
        for part_number, part in enumerate(index.columns):
            if not part.column_number and part.expression is not None:
                bound = bind_stored(scope, part.expression, "index expressions")
                stored.index_expressions[index.oid, part_number] = coercion.known(binding, bound)
        if index.predicate is not None:
            stored.index_predicates[index.oid] = bind_predicate(scope, index)


def bind_predicate(scope: Scope, index: Index) -> Expression:
    """Bind the WHERE of a partial index."""
    assert index.predicate is not None
    bound = bind_stored(scope, index.predicate, "index predicates")
    return coercion.boolean(scope.binding, bound, "WHERE")


# ---------------------------------------------------------------- for DDL


def volatility(expression: Expression) -> str:
    """Return the most volatile of an expression's calls: "i", "s" or "v"."""
    worst = "i"
    for node, _ in nodes(expression):
        if isinstance(node, Call):
            found = node.function.volatility
        elif isinstance(node, TextCast):
            found = "s" if {node.type_oid, node.argument.type_oid} & _SETTING_TYPES else "i"
        else:
            continue
        if "isv".index(found) > "isv".index(worst):
            worst = found
    return worst


# Types whose text formats depend on the session's settings.
_SETTING_TYPES = frozenset(
    {oids.DATE, oids.TIMESTAMP, oids.TIMESTAMPTZ, oids.TIMETZ, oids.INTERVAL, oids.REGCLASS}
)


def assignable(binding: Binding, expression: Expression, column: Column) -> Expression:
    """Return a default as its column takes it. Raises SqlError 42804 as CREATE TABLE does."""
    from dsql.functions.coercion import CastContext

    done = coercion.coerce(binding, expression, column.type_oid, CastContext.ASSIGNMENT)
    if done is None:
        source, target = type_name(expression.type_oid), type_name(column.type_oid)
        raise SqlError(
            "42804",
            f'column "{column.name}" is of type {target} '
            f"but default expression is of type {source}",
            hint="You will need to rewrite or cast the expression.",
        )
    return coercion.apply_typmod(done, column.typmod, explicit=False)
