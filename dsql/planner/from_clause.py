"""From the range table to a group of relations; simple subqueries are merged into their surroundings."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeGuard

from dsql.errors import SqlError
from dsql.planner import estimates
from dsql.planner.expressions import (
    Slot,
    conjuncts,
    is_volatile,
    returns_set,
    slots_of,
    slots_of_all,
    transform,
    walk,
)
from dsql.planner.leakproof import is_leakproof
from dsql.planner.lookups import is_joins_only
from dsql.planner.optimizer import fold
from dsql.planner.plan import (
    CteScan,
    Estimate,
    ExpressionRow,
    Filter,
    FunctionScan,
    Node,
    Scan,
    SubqueryScan,
    ValuesScan,
    VirtualScan,
    expressions_of_rows,
)
from dsql.planner.plan_slots import cte_outer_slots
from dsql.planner.relations import (
    DerivedLeaf,
    Group,
    IndexTexts,
    OuterJoin,
    TableLeaf,
    table_leaves,
)
from dsql.planner.scope import CteSource, Scope
from dsql.sql import bound, bound_query
from dsql.sql.bound import Expression

_CTE_COPIES_MAX = 100  # of one statement; beyond that a CTE of several uses keeps its rows


def build(
    scope: Scope, items: list[bound_query.FromItem], range_table: list[bound_query.Entry]
) -> Group:
    """Return the group for a FROM list, and fill `scope.entries` along the way."""
    if len(scope.entries) < len(range_table):
        scope.entries += [[] for _ in range(len(range_table) - len(scope.entries))]
    group = Group()
    for item in items:
        group.absorb(_item(scope, item, range_table, nullable=False))
    return group


def _item(
    scope: Scope,
    item: bound_query.FromItem,
    range_table: list[bound_query.Entry],
    *,
    nullable: bool,
) -> Group:
    if isinstance(item, bound_query.FromEntry):
        if nullable:
            scope.nullable.add(item.entry)
        return entry_group(scope, item.entry, range_table[item.entry], nullable=nullable)
    left = _item(scope, item.left, range_table, nullable=nullable or item.kind in ("right", "full"))
    right = _item(
        scope, item.right, range_table, nullable=nullable or item.kind in ("left", "full")
    )
    conditions = [scope.convert(item.condition)] if item.condition is not None else []
    if item.kind == "inner":
        left.absorb(right)
        left.conditions += conditions
        return left
    if item.kind == "right":
        return Group([OuterJoin("left", right, left, conditions)])
    if item.kind == "left" and right.conditions:
        conditions += _take_lateral(right, left.slots)
    return Group([OuterJoin(item.kind, left, right, conditions)])


def _take_lateral(right: Group, outer: set[int]) -> list[Expression]:
    """Take from the right side of a left join the conditions that read the left one: ON means the same."""
    taken = [condition for condition in right.conditions if slots_of(condition) & outer]
    right.conditions = [item for item in right.conditions if not slots_of(item) & outer]
    return taken


def entry_group(scope: Scope, number: int, entry: bound_query.Entry, *, nullable: bool) -> Group:
    """Return the group of one range-table entry, alone as a rule."""
    if isinstance(entry, bound_query.SubqueryEntry):
        strength = scope.row_marks.get(number, "")
        merged = None
        if not entry.is_barrier:
            merged = _pull_up(scope, number, entry.query, strength, nullable=nullable)
        if merged is not None:
            scope.merged[number] = table_leaves(merged) if strength else []
            return merged
        query = _locking(entry.query, strength)
        barrier = entry.is_barrier
        columns = entry.columns
        return Group(
            [_subquery(scope, number, entry.alias, query, columns, scope, is_barrier=barrier)]
        )
    if isinstance(entry, bound_query.CteEntry):
        return Group([_cte(scope, number, entry)])
    slots = [
        scope.planner.slot(column.type_oid, column.typmod, name=column.name)
        for column in entry.columns
    ]
    scope.entries[number] = list(slots)
    if isinstance(entry, bound_query.TableEntry):
        return Group([_table(scope, entry, slots)])
    if isinstance(entry, bound_query.VirtualEntry):
        return Group([_virtual(entry, slots)])
    if isinstance(entry, bound_query.FunctionEntry):
        return Group([_function(scope, entry, slots)])
    assert isinstance(entry, bound_query.ValuesEntry), entry
    return Group([_values(scope, entry, slots)])


def _locking(query: bound_query.Query, strength: str) -> bound_query.Query:
    """Return a subquery that locks the rows of its tables itself, if there is a strength."""
    if not strength or query.row_marks:
        return query
    return dataclasses.replace(query, row_marks=_all_marked(query, strength))


def _all_marked(query: bound_query.Query, strength: str) -> list[tuple[int, str]]:
    lockable = (bound_query.TableEntry, bound_query.SubqueryEntry)
    entries = enumerate(query.range_table)
    return [(number, strength) for number, entry in entries if isinstance(entry, lockable)]


def _table(scope: Scope, entry: bound_query.TableEntry, slots: list[Slot]) -> TableLeaf:
    if not entry.table.populated:
        scope.planner.known.meet(_not_populated(entry.table.name))
    numbers = [column.number for column in entry.table.live_columns]
    primary = entry.table.primary_key
    keys = {part.column_number for part in primary.columns} if primary is not None else set()
    for slot, column in zip(slots, entry.table.live_columns, strict=False):
        slot.not_null = column.is_present or column.number in keys
    return TableLeaf(
        table=entry.table,
        alias=entry.alias,
        columns=dict(zip(numbers, slots, strict=False)),
        texts=_index_texts(scope, entry, slots),
        rows=scope.planner.table_rows(entry.table),
    )


def _not_populated(name: str) -> SqlError:
    return SqlError(
        "55000",
        f'materialized view "{name}" has not been populated',
        hint="Use the REFRESH MATERIALIZED VIEW command.",
    )


def _index_texts(
    scope: Scope, entry: bound_query.TableEntry, slots: list[Slot]
) -> IndexTexts | None:
    if not entry.index_expressions and not entry.index_predicates:
        return None

    def over_slots(node: Expression) -> Expression:
        return fold(transform(node, lambda n: slots[n.column] if _is_column(n) else None))

    def missed() -> None:
        scope.planner.is_generic = True

    expressions = {key: over_slots(item) for key, item in entry.index_expressions.items()}
    predicates = {oid: conjuncts(over_slots(item)) for oid, item in entry.index_predicates.items()}
    return IndexTexts(expressions, predicates, missed)


def _is_column(node: Expression) -> TypeGuard[bound.ColumnRef]:
    return isinstance(node, bound.ColumnRef)


def _derived(slots: list[Slot], needs: set[int], node: Node) -> DerivedLeaf:
    def build_node(conditions: list[Expression]) -> Node:
        return with_filter(node, conditions)

    own = {slot.id for slot in slots}
    return DerivedLeaf(slots=own, reads=frozenset(needs), build=build_node)


def with_filter(node: Node, conditions: list[Expression]) -> Node:
    """Return the node's rows under conditions."""
    if not conditions:
        return node
    rows = estimates.filtered(node.estimate.rows, conditions)
    estimate = node.estimate._replace(rows=rows)
    return Filter(estimate=estimate, child=node, conditions=tuple(conditions))


def _virtual(entry: bound_query.VirtualEntry, slots: list[Slot]) -> DerivedLeaf:
    columns = dict(enumerate(slots))

    def build_node(conditions: list[Expression]) -> Node:
        rows = estimates.filtered(estimates.FUNCTION_ROWS, conditions)
        return VirtualScan(
            estimate=Estimate(rows, _width(slots), 0.0, estimates.FUNCTION_ROWS),
            relation=entry.relation,
            alias=entry.alias,
            columns=columns,
            filter=tuple(conditions),
        )

    return DerivedLeaf(slots={slot.id for slot in slots}, reads=frozenset(), build=build_node)


def _width(slots: list[Slot]) -> int:
    return sum(estimates.type_width(slot.type_oid) for slot in slots)


def _function(scope: Scope, entry: bound_query.FunctionEntry, slots: list[Slot]) -> DerivedLeaf:
    calls = scope.convert_all(entry.calls)
    rows = estimates.FUNCTION_ROWS if any(map(returns_set, calls)) else 1.0
    node = FunctionScan(
        estimate=Estimate(rows, _width(slots), 0.0, rows * estimates.ROW_COST),
        calls=tuple(calls),
        widths=_function_widths(entry, calls),
        alias=entry.alias,
        slots=tuple(slots),
        ordinality=entry.ordinality,
    )
    return _derived(slots, slots_of_all(calls), node)


def _function_widths(entry: bound_query.FunctionEntry, calls: list[Expression]) -> tuple[int, ...]:
    """Return how many columns belong to each call; a single call takes them all."""
    total = len(entry.columns) - entry.ordinality
    if len(calls) == 1:
        return (total,)
    return tuple(
        len(call.function.columns) or 1 if isinstance(call, bound.Call) else 1 for call in calls
    )


def _values(scope: Scope, entry: bound_query.ValuesEntry, slots: list[Slot]) -> DerivedLeaf:
    rows: tuple[ExpressionRow, ...] | bound_query.ConstantRows
    expressions: list[Expression] = []
    if isinstance(entry.rows, bound_query.ConstantRows):
        rows = entry.rows
        count = float(len(rows))
    else:
        rows = tuple(_values_row(scope, row) for row in entry.rows)
        expressions += expressions_of_rows(rows)
        count = float(sum(len(row.order) if isinstance(row, bound.Alike) else 1 for row in rows))
    node = ValuesScan(
        estimate=Estimate(count, _width(slots), 0.0, count * 0.0125),
        rows=rows,
        alias=entry.alias,
        slots=tuple(slots),
    )
    return _derived(slots, slots_of_all(expressions), node)


def _values_row(scope: Scope, row: bound_query.ValuesRow) -> ExpressionRow:
    if isinstance(row, bound.Alike):
        converted: bound.Alike = scope.convert(row)  # type: ignore[assignment]
        return converted
    return tuple(scope.convert_all(row))


def _cte(scope: Scope, number: int, entry: bound_query.CteEntry) -> DerivedLeaf:
    owner = scope.ancestor(entry.levels_up)
    source: CteSource = owner.ctes[entry.index]
    if source.inline and source.definition.references > 1:
        scope.planner.copies += 1
        if scope.planner.copies > _CTE_COPIES_MAX:
            source.inline = False
            scope.planner.plan_cte(owner, source)
    if source.inline:
        assert isinstance(source.definition.statement, bound_query.Query)
        return _subquery(
            scope, number, entry.alias, source.definition.statement, entry.columns, owner
        )
    slots = [
        scope.planner.slot(column.type_oid, column.typmod, name=column.name)
        for column in entry.columns
    ]
    scope.entries[number] = list(slots)
    planned = source.planned
    rows = planned.query.node.estimate.rows if planned is not None else estimates.CTE_ROWS
    node = CteScan(
        estimate=Estimate(rows, _width(slots), 0.0, rows * estimates.ROW_COST),
        cte=source.working or (planned.id if planned is not None else 0),
        name=source.definition.name,
        alias=entry.alias,
        slots=tuple(slots),
        working=bool(source.working),
        outer=frozenset() if planned is None else frozenset(cte_outer_slots(planned)),
    )
    return _derived(slots, set(), node)


def _subquery(
    scope: Scope,
    number: int,
    alias: str,
    query: bound_query.Query,
    columns: list[bound_query.EntryColumn],
    parent: Scope,
    *,
    is_barrier: bool = False,
) -> DerivedLeaf:
    """Return a leaf that is planned once it is known which conditions it has to meet.

    Behind a barrier only conditions are met that tell nothing of the rows that it hides.
    """
    slots = [
        scope.planner.slot(column.type_oid, column.typmod, name=column.name) for column in columns
    ]
    scope.entries[number] = list(slots)

    def build_node(conditions: list[Expression]) -> Node:
        rest = [each for each in conditions if is_barrier and not is_leakproof(each)]
        pushed = [each for each in conditions if each not in rest]
        plan = scope.planner.plan_query(query, parent, slots, pushed, rest)
        node = SubqueryScan(
            estimate=plan.node.estimate, query=plan, alias=alias, slots=tuple(slots)
        )
        return with_filter(node, rest)

    reads = slots_of_all(
        parent.ancestor(levels).entries[entry][column]
        for levels, entry, column in scope.planner.references.of(query)
    )
    return DerivedLeaf(slots={slot.id for slot in slots}, reads=frozenset(reads), build=build_node)


def _pull_up(
    scope: Scope, number: int, query: bound_query.Query, strength: str, *, nullable: bool
) -> Group | None:
    """Merge a simple subquery into its surroundings; None if it has to stay a query of its own.

    On the nullable side of an outer join, and below grouping sets, its columns must be plain columns:
    they become NULL with the row or the set, which an expression would not.
    """
    nullable = nullable or scope.has_grouping_sets
    if not is_joins_only(query) or any(_is_complex(target.expression) for target in query.targets):
        return None
    if nullable and not all(
        isinstance(target.expression, bound.ColumnRef) and not target.expression.levels_up
        for target in query.targets
    ):
        return None
    inner = Scope(scope.planner, scope)
    inner.row_marks = dict(_all_marked(query, strength)) if strength else {}
    group = build(inner, query.from_items, query.range_table)
    if query.where is not None:
        group.conditions.append(inner.convert(query.where))
    targets = [target.expression for target in query.targets if not target.junk]
    columns = [scope.planner.known.apart(inner.convert, target) for target in targets]
    if nullable and not all(isinstance(column, Slot) for column, _ in columns):
        return None
    scope.entries[number] = [column for column, _ in columns]
    for place, (_, fault) in enumerate(columns):
        if fault is not None:
            scope.faults[number, place] = fault
    return group


def _is_complex(node: Expression) -> bool:
    subqueries = (bound.Exists, bound.ScalarSubquery, bound.ArraySubquery, bound.QuantifiedSubquery)
    return is_volatile(node) or any(isinstance(part, subqueries) for part in walk(node))


def scan(leaf: TableLeaf, candidate: Any, *, reverse: bool = False) -> Scan:
    """Return the scan node of a table under a chosen access path."""
    primary = leaf.table.primary_key
    lookup = candidate.index is not None and candidate.index is not primary
    kept = estimates.filtered(candidate.rows, candidate.rest)
    width = _width(list(leaf.columns.values()))
    return Scan(
        estimate=estimates.scan(candidate.rows, kept, width, lookup=lookup),
        table=leaf.table,
        alias=leaf.alias,
        columns=leaf.columns,
        index=candidate.index,
        access=candidate.access,
        filter=tuple(candidate.rest),
        reverse=reverse,
        row_slot=leaf.row_slot,
        key_slot=leaf.key_slot,
    )
