"""Binds ON CONFLICT: the unique indexes that arbitrate, and the update of the row in the way."""

from __future__ import annotations

from collections.abc import Iterable

from sqlglot import exp

from dsql.access.privileges import Privilege
from dsql.catalog.schema import Column, Index, Table
from dsql.errors import SqlError
from dsql.sql import coercion
from dsql.sql.bound import Expression
from dsql.sql.bound_query import OnConflict
from dsql.sql.calls import clause
from dsql.sql.columns import bind_predicate, bind_stored, stored_scope
from dsql.sql.destination import Destination, find_column, show_row
from dsql.sql.dml import bind_assignments
from dsql.sql.expressions import bind_boolean, bind_expression
from dsql.sql.scope import Scope
from dsql.sql.tree import position_of
from dsql.sql.walk import same


def bind_on_conflict(scope: Scope, destination: Destination, tree: exp.Expression) -> OnConflict:
    """Bind an ON CONFLICT clause; in `scope` the row in the way is shown."""
    updates = tree.args["action"] == "update"
    indexes = _arbiters(scope, destination, tree)
    if not updates:
        return OnConflict(indexes, None)
    if not indexes and not tree.args.get("conflict_keys") and not tree.args.get("constraint"):
        raise SqlError(
            "42601",
            "ON CONFLICT DO UPDATE requires inference specification or constraint name",
            hint="For example, ON CONFLICT (column_name).",
            position=position_of(tree),
        )
    own = list(scope.items)
    use = scope.binding.use(destination.named, Privilege.NONE, scope.depth)
    excluded = show_row(scope, destination, "excluded", use)
    with clause(scope, "UPDATE"):
        # SET may name the target's columns bare; those of EXCLUDED need its name.
        excluded.columns_visible = False
        scope.items = [*own, excluded]
        assignments = bind_assignments(scope, destination, tree.expressions)
    where = _where(scope, tree)
    scope.items = own
    return OnConflict(indexes, assignments, where)


def _where(scope: Scope, tree: exp.Expression) -> Expression | None:
    if tree.args.get("where") is None:
        return None
    with clause(scope, "WHERE"):
        return bind_boolean(scope, tree.args["where"], "WHERE")


def _arbiters(scope: Scope, destination: Destination, tree: exp.Expression) -> list[int]:
    table = destination.table
    constraint = tree.args.get("constraint")
    if constraint is not None:
        index = _constraint_index(destination.named, constraint.args["this"])
        _read_keys(destination, (part.column_number for part in index.columns))
        return [index.oid]
    keys = tree.args.get("conflict_keys")
    if not keys:
        return []
    named, expressions = _keys(scope, destination, keys)
    _read_keys(destination, (column.number for column in named))
    columns = {destination.arbiter(column) for column in named}
    predicate = _predicate(scope, tree)
    found = [
        index.oid
        for index in table.indexes
        if (index.unique or index.primary)
        and _matches(scope, table, index, columns, expressions, predicate)
    ]
    if not found:
        raise SqlError(
            "42P10",
            "there is no unique or exclusion constraint matching the ON CONFLICT specification",
        )
    return found


def _read_keys(destination: Destination, numbers: Iterable[int]) -> None:
    """Who names the arbiter finds out what is there: it takes the right to read its columns."""
    for number in numbers:
        destination.use.read(number)


def _constraint_index(table: Table, name: str) -> Index:
    for index in table.indexes:
        if index.constraint == name and (index.unique or index.primary):
            return index
    raise SqlError("42704", f'constraint "{name}" for table "{table.name}" does not exist')


def _keys(
    scope: Scope, destination: Destination, keys: list[exp.Expression]
) -> tuple[list[Column], list[Expression]]:
    columns: list[Column] = []
    system = {column.name: column for column in destination.named.system_columns}
    expressions: list[Expression] = []
    for key in keys:
        if isinstance(key, exp.Column) and key.args.get("table") is None:
            name = key.this.args["this"]
            if name in system:
                columns.append(system[name])
                continue
            try:
                columns.append(find_column(destination, name, position_of(key)))
            except SqlError:
                raise SqlError(
                    "42703", f'column "{name}" does not exist', position=position_of(key)
                ) from None
        else:
            with clause(scope, "ON CONFLICT"):
                expressions.append(bind_expression(scope, key))
    return columns, expressions


def _predicate(scope: Scope, tree: exp.Expression) -> Expression | None:
    predicate = tree.args.get("index_predicate")
    if predicate is None:
        return None
    with clause(scope, "index predicates"):
        return coercion.boolean(scope.binding, bind_expression(scope, predicate), "WHERE")


def _matches(
    scope: Scope,
    table: Table,
    index: Index,
    columns: set[int],
    expressions: list[Expression],
    predicate: Expression | None,
) -> bool:
    """Tell whether a unique index is over exactly these keys and covers the predicate."""
    if {part.column_number for part in index.columns if part.column_number} != columns:
        return False
    inner = stored_scope(scope.binding, table)
    own = [
        bind_stored(inner, part.expression, "index expressions")
        for part in index.columns
        if not part.column_number and part.expression is not None
    ]
    if len(own) != len(expressions):
        return False
    if not all(any(same(one, other) for other in expressions) for one in own):
        return False
    if index.predicate is None:
        return True
    return predicate is not None and same(bind_predicate(inner, index), predicate)
