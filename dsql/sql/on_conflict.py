"""Binds ON CONFLICT: the unique indexes that arbitrate, and the update of the row in the way."""

from __future__ import annotations

from collections.abc import Iterable

from sqlglot import exp

from dsql.access.privileges import Privilege
from dsql.catalog.schema import SYSTEM_COLUMN_NUMBERS, Index, Table
from dsql.errors import SqlError
from dsql.sql import coercion
from dsql.sql.bound import Expression
from dsql.sql.bound_query import OnConflict
from dsql.sql.calls import clause
from dsql.sql.columns import bind_predicate, bind_stored, row_entry, stored_scope
from dsql.sql.dml import bind_assignments, find_column
from dsql.sql.expressions import bind_boolean, bind_expression
from dsql.sql.scope import Scope, entry_item
from dsql.sql.tree import position_of
from dsql.sql.walk import same


def bind_on_conflict(scope: Scope, table: Table, tree: exp.Expression) -> OnConflict:
    """Bind an ON CONFLICT clause; in `scope` the table's row is entry 0."""
    updates = tree.args["action"] == "update"
    indexes = _arbiters(scope, table, tree)
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
    entry = row_entry(table, "excluded", scope.binding.use(table, Privilege.NONE, scope.depth))
    excluded = entry_item(entry, scope.add_entry(entry))
    with clause(scope, "UPDATE"):
        # SET may name the target's columns bare; those of EXCLUDED need its name.
        excluded.columns_visible = False
        scope.items = [*own, excluded]
        assignments = bind_assignments(scope, table, tree.expressions)
    where = _where(scope, tree)
    scope.items = own
    return OnConflict(indexes, assignments, where)


def _where(scope: Scope, tree: exp.Expression) -> Expression | None:
    if tree.args.get("where") is None:
        return None
    with clause(scope, "WHERE"):
        return bind_boolean(scope, tree.args["where"], "WHERE")


def _arbiters(scope: Scope, table: Table, tree: exp.Expression) -> list[int]:
    constraint = tree.args.get("constraint")
    if constraint is not None:
        index = _constraint_index(table, constraint.args["this"])
        _read_keys(scope, (part.column_number for part in index.columns))
        return [index.oid]
    keys = tree.args.get("conflict_keys")
    if not keys:
        return []
    columns, expressions = _keys(scope, table, keys)
    _read_keys(scope, columns)
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


def _read_keys(scope: Scope, numbers: Iterable[int]) -> None:
    """Who names the arbiter finds out what is there: it takes the right to read its columns."""
    use = scope.range_table[0].use
    assert use is not None
    for number in numbers:
        use.read(number)


def _constraint_index(table: Table, name: str) -> Index:
    for index in table.indexes:
        if index.constraint == name and (index.unique or index.primary):
            return index
    raise SqlError("42704", f'constraint "{name}" for table "{table.name}" does not exist')


def _keys(
    scope: Scope, table: Table, keys: list[exp.Expression]
) -> tuple[set[int], list[Expression]]:
    columns: set[int] = set()
    expressions: list[Expression] = []
    for key in keys:
        if isinstance(key, exp.Column) and key.args.get("table") is None:
            name = key.this.args["this"]
            if name in SYSTEM_COLUMN_NUMBERS:
                columns.add(SYSTEM_COLUMN_NUMBERS[name])
                continue
            try:
                columns.add(find_column(table, name, position_of(key)).number)
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
