"""Planning INSERT, UPDATE, DELETE and MERGE: which rows, and the expressions over old and new ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from dsql.catalog.schema import Table
from dsql.planner import optimizer
from dsql.planner.expressions import Slot, conjuncts
from dsql.planner.from_clause import build, with_filter
from dsql.planner.join_order import plan_group
from dsql.planner.leakproof import is_leakproof
from dsql.planner.plan import (
    ConflictAction,
    DeleteNode,
    Estimate,
    InsertNode,
    MergeAction,
    MergeNode,
    Modification,
    Node,
    QueryPlan,
    SubqueryScan,
    UpdateNode,
)
from dsql.planner.query import outputs
from dsql.planner.relations import Group, TableLeaf, table_leaves
from dsql.planner.scope import Scope
from dsql.planner.semi_joins import add_condition
from dsql.sql import bound_query
from dsql.sql.bound import Expression
from dsql.sql.bound_query import Modifying


def row_slots(scope: Scope, table: Table) -> dict[int, Slot]:
    """Return a new slot for every live column of a table, by column number."""
    primary = table.primary_key
    keys = {part.column_number for part in primary.columns} if primary is not None else set()
    return {
        column.number: scope.planner.slot(
            column.type_oid,
            column.typmod,
            name=column.name,
            not_null=column.is_present or column.number in keys,
        )
        for column in table.live_columns
    }


def _as_seen(
    scope: Scope, layers: Sequence[bound_query.ViewLayer], row: Sequence[Expression]
) -> tuple[list[Expression], list[Scope]]:
    """Return a table's row as the outermost of some views has it, and a scope for each view's condition."""
    scopes: list[Scope] = []
    for layer in reversed(layers):
        inner = Scope(scope.planner, scope)
        inner.entries = [list(row)]
        scopes.insert(0, inner)
        targets = [target for target in layer.query.targets if not target.junk]
        row = [inner.convert(target.expression) for target in targets]
    return list(row), scopes


def _show_new_row(scope: Scope, statement: Modifying, row: dict[int, Slot]) -> list[Scope]:
    """Have a row of the table be what the statement's names mean, through its views."""
    scope.entries[0] = list(row.values())
    seen, scopes = _as_seen(scope, statement.layers, scope.entries[0])
    if statement.layers:
        scope.entries[1] = seen
    return scopes


def _view_checks(
    layers: Sequence[bound_query.ViewLayer], scopes: Sequence[Scope]
) -> tuple[tuple[str, Expression], ...]:
    """Return what new rows have to meet for each CHECK OPTION, those of inner views first."""
    return tuple(
        (layer.view.name, inner.convert(layer.query.where))
        for layer, inner in reversed(list(zip(layers, scopes, strict=True)))
        if layer.is_checked and layer.query.where is not None
    )


def plan_modification(scope: Scope, statement: Modifying) -> QueryPlan:
    """Plan a modifying statement whose CTEs `scope` has already."""
    scope.entries += [[] for _ in statement.range_table]
    if isinstance(statement, bound_query.Insert):
        node: Node = _insert(scope, statement)
    elif isinstance(statement, bound_query.Update):
        node = _update(scope, statement)
    elif isinstance(statement, bound_query.Delete):
        node = _delete(scope, statement)
    else:
        node = _merge(scope, statement)
    returning = statement.returning or []
    expressions = tuple(scope.convert(target.expression) for target in returning)
    return QueryPlan(node=node, expressions=expressions, outputs=outputs(returning))


def _numbered(
    scope: Scope, pairs: Sequence[tuple[Any, Expression]]
) -> tuple[tuple[Any, Expression], ...]:
    return tuple((key, scope.convert(item)) for key, item in pairs)


def _per_row(
    scope: Scope, pairs: Iterable[tuple[Any, Expression]]
) -> tuple[tuple[Any, Expression], ...]:
    """Convert what a table has computed for each new row: what is wrong with it is so for a row only."""
    return tuple((key, scope.planner.known.apart(scope.convert, item)[0]) for key, item in pairs)


def _write_parts(scope: Scope, statement: Modifying) -> dict[str, Any]:
    scope.planner.watches |= bool(statement.watched)
    return {
        "watched": statement.watched,
        "index_expressions": dict(_per_row(scope, statement.index_expressions.items())),
        "index_predicates": dict(_per_row(scope, statement.index_predicates.items())),
    }


def _estimate(child: Node) -> Estimate:
    return Estimate(child.estimate.rows, 0, child.estimate.startup, child.estimate.total)


def _insert(scope: Scope, statement: bound_query.Insert) -> InsertNode:
    source = scope.planner.plan_query(statement.source, scope)
    slots = tuple(scope.planner.slot(output.type_oid, output.typmod) for output in source.outputs)
    child = SubqueryScan(estimate=source.node.estimate, query=source, alias="*SELECT*", slots=slots)
    values: dict[int, Expression] = dict(zip(statement.column_numbers, slots, strict=False))
    values.update(_numbered(scope, statement.defaults))
    new = row_slots(scope, statement.table)
    seen = _show_new_row(scope, statement, new)
    return InsertNode(
        estimate=_estimate(child),
        table=statement.table,
        alias=statement.range_table[0].alias,
        child=child,
        new=new,
        checks=_per_row(scope, statement.checks),
        view_checks=_view_checks(statement.layers, seen),
        generated=_per_row(scope, statement.generated),
        values=values,
        written=_written(statement),
        conflict=_conflict(scope, statement),
        **_write_parts(scope, statement),
    )


def _written(statement: bound_query.Insert) -> frozenset[int]:
    action = statement.on_conflict
    updated = (action.assignments if action else None) or ()
    return frozenset((*statement.column_numbers, *(number for number, _ in updated)))


def _conflict(scope: Scope, statement: bound_query.Insert) -> ConflictAction | None:
    action = statement.on_conflict
    if action is None:
        return None
    existing, excluded = row_slots(scope, statement.table), row_slots(scope, statement.table)
    inner = Scope(scope.planner, scope.parent, ctes=scope.ctes)
    inner.entries = [list(existing.values()), list(excluded.values())]
    if statement.layers:
        both = [_as_seen(inner, statement.layers, row)[0] for row in inner.entries]
        inner.entries = [inner.entries[0], *both]
    return ConflictAction(
        index_oids=tuple(action.index_oids),
        assignments=(None if action.assignments is None else _numbered(inner, action.assignments)),
        where=inner.convert(action.where) if action.where is not None else None,
        existing=existing,
        excluded=excluded,
    )


def _target_rows(
    scope: Scope, statement: bound_query.Update | bound_query.Delete
) -> tuple[Node, TableLeaf, bool]:
    """Plan the rows to modify; the flag tells whether joins may yield one of them repeatedly."""
    group: Group = build(scope, [bound_query.FromEntry(0)], statement.range_table)
    leaf = group.members[0]
    assert isinstance(leaf, TableLeaf)
    leaf.row_slot, leaf.key_slot = scope.planner.number(), scope.planner.number()
    if statement.layers:
        scope.entries[1], seen = _as_seen(scope, statement.layers, scope.entries[0])
        for layer, inner in reversed(list(zip(statement.layers, seen, strict=True))):
            add_condition(inner, group, layer.query.where)
    items = [
        item
        for item in statement.from_items
        if not (isinstance(item, bound_query.FromEntry) and item.entry == 0)
    ]
    group.absorb(build(scope, items, statement.range_table))
    late = _add_where(scope, group, statement)
    joined = len(group.members) > 1
    optimizer.optimize(group)
    node, _ = plan_group(group)
    return with_filter(node, late), leaf, joined


def _add_where(
    scope: Scope, group: Group, statement: bound_query.Update | bound_query.Delete
) -> list[Expression]:
    """Add WHERE to a group; return what must wait until a security barrier has chosen the rows."""
    if not any(layer.is_barrier for layer in statement.layers):
        add_condition(scope, group, statement.where)
        return []
    conditions = conjuncts(scope.convert(statement.where)) if statement.where is not None else []
    group.conditions += [each for each in conditions if is_leakproof(each)]
    return [each for each in conditions if not is_leakproof(each)]


def _update(scope: Scope, statement: bound_query.Update) -> UpdateNode:
    child, leaf, joined = _target_rows(scope, statement)
    assignments = _numbered(scope, statement.assignments)
    new = row_slots(scope, statement.table)
    seen = _show_new_row(scope, statement, new)
    return UpdateNode(
        estimate=_estimate(child),
        written=frozenset(number for number, _ in statement.assignments),
        table=statement.table,
        alias=leaf.alias,
        child=child,
        new=new,
        checks=_per_row(scope, statement.checks),
        view_checks=_view_checks(statement.layers, seen),
        generated=_per_row(scope, statement.generated),
        old=leaf.columns,
        assignments=assignments,
        row_slot=leaf.row_slot,
        key_slot=leaf.key_slot,
        once=joined,
        **_write_parts(scope, statement),
    )


def _delete(scope: Scope, statement: bound_query.Delete) -> DeleteNode:
    child, leaf, joined = _target_rows(scope, statement)
    return DeleteNode(
        estimate=_estimate(child),
        table=statement.table,
        alias=leaf.alias,
        child=child,
        new=leaf.columns,
        row_slot=leaf.row_slot,
        key_slot=leaf.key_slot,
        once=joined,
        **_write_parts(scope, statement),
    )


# ---------------------------------------------------------------- MERGE


def _merge(scope: Scope, statement: bound_query.Merge) -> MergeNode:
    group = build(scope, statement.from_items, statement.range_table)
    own = scope.entries[0]
    leaf = next(leaf for leaf in table_leaves(group) if own == list(leaf.columns.values()))
    leaf.row_slot, leaf.key_slot = scope.planner.number(), scope.planner.number()
    actions = []
    for action in statement.actions:
        scope.entries[0] = own
        condition = None
        if action.condition is not None:
            condition = scope.convert(action.condition)
        actions.append((action, condition, _merge_parts(scope, statement, action, leaf)))
    scope.entries[0] = own
    optimizer.optimize(group)
    child, _ = plan_group(group)
    return MergeNode(
        estimate=_estimate(child),
        table=statement.table,
        alias=leaf.alias,
        child=child,
        new=leaf.columns,
        actions=tuple(
            MergeAction(action.matched, condition, kind(child=child, **parts) if kind else None)
            for action, condition, (kind, parts) in actions
        ),
        row_slot=leaf.row_slot,
        key_slot=leaf.key_slot,
    )


def _merge_parts(
    scope: Scope, statement: bound_query.Merge, action: bound_query.MergeAction, leaf: TableLeaf
) -> tuple[type[Modification] | None, dict[str, Any]]:
    """Return the node of what an action does, as its class and all of its fields but the child."""
    if action.kind == "nothing":
        return None, {}
    assignments = _numbered(scope, action.assignments)
    parts: dict[str, Any] = {
        "estimate": Estimate(0, 0, 0.0, 0.0),
        "table": statement.table,
        "alias": leaf.alias,
        "written": action.written,
    }
    own = {"row_slot": leaf.row_slot, "key_slot": leaf.key_slot}
    if action.kind == "delete":
        return DeleteNode, {**parts, **own, "new": leaf.columns, **_write_parts(scope, statement)}
    new = parts["new"] = row_slots(scope, statement.table)
    scope.entries[0] = list(new.values())
    parts["checks"] = _per_row(scope, statement.checks)
    parts["generated"] = _per_row(scope, statement.generated)
    parts |= _write_parts(scope, statement)
    if action.kind == "insert":
        return InsertNode, {**parts, "values": dict(assignments)}
    return UpdateNode, {**parts, **own, "old": leaf.columns, "assignments": assignments}
