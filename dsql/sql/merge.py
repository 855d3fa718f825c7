"""Binds MERGE: the join of its source with the target, and what each WHEN does to a row of it."""

from __future__ import annotations

from sqlglot import exp

from dsql.access.privileges import Privilege
from dsql.catalog.foreign_keys import watched_keys
from dsql.catalog.schema import Table
from dsql.errors import SqlError
from dsql.sql.assigned_parts import merged_parts, names_parts
from dsql.sql.bound import DefaultValue, Expression
from dsql.sql.bound_query import FromEntry, FromJoin, Merge, MergeAction, Query, Target
from dsql.sql.calls import clause
from dsql.sql.columns import bind_row_expressions
from dsql.sql.ctes import bind_with
from dsql.sql.destination import Destination, bind_destination, show_row
from dsql.sql.dml import (
    alias_of,
    assigned_cell,
    bind_assignments,
    cells,
    column_numbers,
    fitting_columns,
    insert_columns,
    missing_defaults,
    show_indexes,
    without_generated,
)
from dsql.sql.expressions import bind_boolean
from dsql.sql.from_clause import bind_from
from dsql.sql.relations import find_relation
from dsql.sql.scope import Item, Scope

_PRIVILEGES = {
    exp.Insert: Privilege.INSERT,
    exp.Update: Privilege.UPDATE,
    exp.Delete: Privilege.DELETE,
    type(None): Privilege.SELECT,
}
_KINDS = {"v": "views", "S": "sequences"}


def bind_merge(scope: Scope, tree: exp.Merge) -> Merge:
    """Bind a MERGE in a fresh scope. Raises SqlError 42601, 0A000, 42712 and what its parts do."""
    ctes = tree.args.get("with_")
    if ctes is not None:
        if ctes.args.get("recursive"):
            raise SqlError("42601", "WITH RECURSIVE is not supported for MERGE statement")
        bind_with(scope, ctes)
    whens = tree.args["whens"]
    _check_reachable(whens)
    destination = _destination(scope, tree)
    target = show_row(scope, destination, alias_of(tree.this))
    _show(target, visible=False)
    scope.items = [target]
    joined = bind_from(scope, tree.args["using"])[0]
    sources = [item for item in scope.items if item is not target]
    _check_names(target, sources)
    _show(target, visible=True)
    with clause(scope, "JOIN conditions"):
        on = bind_boolean(scope, tree.args["on"], "JOIN/ON")
    actions = [_action(scope, destination, target, when) for when in whens]
    stored = bind_row_expressions(scope.binding, destination.table)
    show_indexes(scope, stored)
    kind = "left" if any(action.kind == "insert" for action in actions) else "inner"
    return Merge(
        table=destination.table,
        range_table=scope.range_table,
        from_items=[FromJoin(kind, joined, FromEntry(0), on)],
        actions=actions,
        generated=stored.generated,
        checks=stored.checks,
        index_expressions=stored.index_expressions,
        index_predicates=stored.index_predicates,
        ctes=scope.ctes,
        watched=watched_keys(destination.table, scope.binding.catalog),
    )


def _check_reachable(whens: list[exp.Expression]) -> None:
    ended: set[bool] = set()
    for when in whens:
        if when.args["matched"] in ended:
            message = "unreachable WHEN clause specified after unconditional WHEN clause"
            raise SqlError("42601", message)
        if when.args.get("condition") is None:
            ended.add(when.args["matched"])


def _destination(scope: Scope, tree: exp.Merge) -> Destination:
    """Return the target, with the rights on it that the actions need."""
    relation = find_relation(scope, tree.this)
    if isinstance(relation, Table) and relation.kind in _KINDS:
        raise SqlError(
            "0A000",
            f'cannot execute MERGE on relation "{relation.name}"',
            detail=f"This operation is not supported for {_KINDS[relation.kind]}.",
        )
    destination = bind_destination(scope, tree.this, Privilege.NONE)
    for when in tree.args["whens"]:
        destination.use.privileges |= _PRIVILEGES[type(when.args.get("then"))].value
    return destination


def _show(item: Item, *, visible: bool) -> None:
    item.relation_visible = item.columns_visible = visible


def _check_names(target: Item, sources: list[Item]) -> None:
    if any(item.alias == target.alias and item.relation_visible for item in sources):
        raise SqlError(
            "42712",
            f'name "{target.alias}" specified more than once',
            detail="The name is used both as MERGE target table and data source.",
        )


def _action(
    scope: Scope, destination: Destination, target: Item, when: exp.Expression
) -> MergeAction:
    """Bind a WHEN; of a row that matches nothing it sees the source only."""
    matched, then = when.args["matched"], when.args.get("then")
    _show(target, visible=matched)
    condition: Expression | None = None
    if when.args.get("condition") is not None:
        with clause(scope, "MERGE WHEN conditions"):
            condition = bind_boolean(scope, when.args["condition"], "WHEN")
    if isinstance(then, exp.Insert):
        return _insertion(scope, destination, then, condition)
    if isinstance(then, exp.Update):
        with clause(scope, "UPDATE"):
            assignments = bind_assignments(scope, destination, then.expressions)
        written = frozenset(number for number, _ in assignments)
        assignments = without_generated(destination.table, assignments)
        return MergeAction(matched, "update", condition, assignments, written)
    kind = "nothing" if then is None else "delete"
    return MergeAction(matched, kind, condition)


def _insertion(
    scope: Scope, destination: Destination, tree: exp.Insert, condition: Expression | None
) -> MergeAction:
    columns, override = insert_columns(destination, tree), tree.args.get("override")
    values: list[Expression] = []
    row = tree.args.get("expression")
    if row is None:
        columns = []
    else:
        values = cells(scope, row.expressions)
        columns = fitting_columns(tree, columns, values)
    values = [
        assigned_cell(scope, destination, column, value, override)
        for column, value in zip(columns, values, strict=True)
    ]
    if names_parts(tree):
        pairs = zip(columns, values, strict=True)
        row_source = Query(targets=[Target(column.name, value) for column, value in pairs])
        row_source, columns = merged_parts(scope, destination, row_source, columns, tree)
        values = [target.expression for target in row_source.targets]
    destination.use.inserted.update(column.number for column in columns)
    numbers = column_numbers(destination, columns)
    given = [
        (number, value)
        for number, value in zip(numbers, values, strict=True)
        if not isinstance(value, DefaultValue)
    ]
    assignments = given + missing_defaults(scope, destination, set(numbers))
    return MergeAction(False, "insert", condition, assignments, frozenset(numbers))
