"""Planning one query: from its FROM clause up to LIMIT.

The order of the steps is SQL's: join and filter, group, HAVING, windows, set-returning functions,
DISTINCT, ORDER BY, locks, LIMIT. Output expressions are left to the very top, so that rows that are
sorted out or cut off never pay for them, except where DISTINCT or ORDER BY need their values.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from dsql.errors import unsupported
from dsql.planner import estimates, optimizer
from dsql.planner.expressions import (
    Slot,
    children,
    conjuncts,
    fingerprint,
    is_volatile,
    map_children,
    returns_set,
    slots_of,
    transform,
)
from dsql.planner.extremes import plan_extremes
from dsql.planner.from_clause import build
from dsql.planner.grouping import Grouping, plan_aggregates
from dsql.planner.join_order import plan_group
from dsql.planner.plan import (
    Distinct,
    Estimate,
    Filter,
    Limit,
    LockRows,
    Node,
    Output,
    Project,
    ProjectSet,
    QueryPlan,
    Result,
    SetOperationNode,
    Sort,
    WindowNode,
)
from dsql.planner.relations import Group, table_leaves
from dsql.planner.scope import Scope
from dsql.planner.semi_joins import add_condition
from dsql.sql import bound, bound_query
from dsql.sql.bound import Expression, SortKey

SORT_ROW_COST = 0.03


class QueryBuilder:
    """The expressions of one query while its steps are planned one after the other."""

    def __init__(self, scope: Scope, query: bound_query.Query, slots: Sequence[Slot]) -> None:
        self.scope = scope
        self.query = query
        self.targets = _converted_targets(scope, query, slots)
        converted = {
            id(t.expression): target for t, target in zip(query.targets, self.targets, strict=True)
        }

        def convert(node: Expression) -> Expression:
            return converted.get(id(node)) or scope.convert(node)

        self.order_by = [
            dataclasses.replace(key, expression=convert(key.expression)) for key in query.order_by
        ]
        self.distinct_on = (
            None if query.distinct_on is None else [convert(item) for item in query.distinct_on]
        )
        self.having = conjuncts(scope.convert(query.having)) if query.having is not None else []
        self.limit = scope.convert(query.limit) if query.limit is not None else None
        self.offset = scope.convert(query.offset) if query.offset is not None else None

    @property
    def visible(self) -> list[Expression]:
        """The output expressions without junk."""
        pairs = zip(self.targets, self.query.targets, strict=True)
        return [expression for expression, target in pairs if not target.junk]

    def rewrite(self, change: Callable[[Expression], Expression]) -> None:
        """Apply a rewriting to every expression above the current step."""
        memo: dict[int, Expression] = {}

        def once(node: Expression) -> Expression:
            if id(node) not in memo:
                memo[id(node)] = change(node)
            return memo[id(node)]

        self.targets = [once(item) for item in self.targets]
        self.order_by = [
            dataclasses.replace(key, expression=once(key.expression)) for key in self.order_by
        ]
        if self.distinct_on is not None:
            self.distinct_on = [once(item) for item in self.distinct_on]
        self.having = [once(item) for item in self.having]
        self.scope.windows[:] = [
            (slot, map_children(call, once)) for slot, call in self.scope.windows
        ]


def _converted_targets(
    scope: Scope, query: bound_query.Query, slots: Sequence[Slot]
) -> list[Expression]:
    """Convert the targets; what is wrong with one that a surrounding query may not read waits for that."""
    known = scope.planner.known
    if query.distinct_on is not None:
        slots = ()
    found = []
    for number, target in enumerate(query.targets):
        converted, fault = known.apart(scope.convert, target.expression)
        found.append(converted)
        if fault is not None:
            if number < len(slots):
                known.faults[slots[number].id] = fault
            else:
                known.meet(fault)
    return found


def plan_select(
    scope: Scope,
    query: bound_query.Query,
    slots: Sequence[Slot] = (),
    pushed: Sequence[Expression] = (),
    rest: list[Expression] | None = None,
) -> QueryPlan:
    """Plan a query without set operation.

    `pushed` are conditions of the query around it over `slots`, its columns; those that cannot be
    applied inside are appended to `rest`.
    """
    scope.has_grouping_sets = len(query.grouping_sets or ()) > 1
    scope.row_marks = dict(query.row_marks)
    group = build(scope, query.from_items, query.range_table)
    add_condition(scope, group, query.where)
    builder = QueryBuilder(scope, query, slots)
    grouped = query.grouping_sets is not None or query.aggregated or bool(scope.aggregates)
    _apply_pushed(builder, group, slots, pushed, rest, grouped=grouped)
    locks = _prepare_locks(scope, group, query)
    optimizer.optimize(group)
    if grouped:
        node: Node = _grouped(builder, group)
        ordered = False
    else:
        node, ordered = _joined(builder, group)
    node = _windows(builder, node)
    node = _project_sets(builder, node)
    if isinstance(node, Result):
        width = sum(estimates.type_width(item.type_oid) for item in builder.visible)
        node = Result(estimate=node.estimate._replace(width=width))
    node = _finish(builder, node, locks, ordered=ordered)
    return QueryPlan(node=node, expressions=tuple(builder.visible), outputs=outputs(query.targets))


def outputs(targets: Sequence[bound_query.Target]) -> tuple[Output, ...]:
    """Return the description of the visible targets."""
    return tuple(
        Output(
            name=target.name,
            type_oid=target.expression.type_oid,
            typmod=target.expression.typmod,
            table_oid=target.table_oid,
            number=target.number,
        )
        for target in targets
        if not target.junk
    )


def _apply_pushed(
    builder: QueryBuilder,
    group: Group,
    slots: Sequence[Slot],
    pushed: Sequence[Expression],
    rest: list[Expression] | None,
    *,
    grouped: bool,
) -> None:
    """Add the conditions of the surrounding query where they mean the same inside."""
    query = builder.query
    inside = {slot.id: target for slot, target in zip(slots, builder.visible, strict=False)}
    closed = (
        query.limit is not None
        or query.offset is not None
        or query.distinct_on
        or builder.scope.windows
        or query.row_marks
        or (grouped and query.grouping_sets != [list(range(len(query.group_by)))])
    )
    for condition in pushed:
        read = [inside[slot] for slot in slots_of(condition) if slot in inside]
        if closed or is_volatile(condition) or any(is_volatile(e) or returns_set(e) for e in read):
            assert rest is not None
            rest.append(condition)
            continue
        moved = substitute(condition, inside)
        # without GROUP BY there is a row for no input too: only HAVING takes it away
        if grouped and not (query.group_by and slots_of(moved) <= _key_slots(builder)):
            builder.having.append(moved)
        else:
            group.conditions.append(moved)


def _key_slots(builder: QueryBuilder) -> set[int]:
    """Return the plain columns of GROUP BY: a condition on them may as well filter the input."""
    converted = [builder.scope.convert(item) for item in builder.query.group_by]
    return {item.id for item in converted if isinstance(item, Slot)}


def substitute(node: Expression, replacements: dict[int, Expression]) -> Expression:
    """Return the tree with slots replaced."""
    return transform(
        node, lambda part: replacements.get(part.id) if isinstance(part, Slot) else None
    )


def _prepare_locks(scope: Scope, group: Group, query: bound_query.Query) -> list[tuple[int, str]]:
    """Make the locked tables carry their row keys; return (key slot, strength)."""
    locks = []
    for entry, strength in query.row_marks:
        for leaf in scope.merged.get(entry, ()):
            leaf.key_slot = leaf.key_slot or scope.planner.number()
            locks.append((leaf.key_slot, strength))
        if not isinstance(query.range_table[entry], bound_query.TableEntry):
            continue  # what is not merged locks its rows itself
        own = {slot for expression in scope.entries[entry] for slot in slots_of(expression)}
        for leaf in table_leaves(group):
            if own & leaf.slots:
                leaf.key_slot = leaf.key_slot or scope.planner.number()
                locks.append((leaf.key_slot, strength))
    return locks


def _joined(builder: QueryBuilder, group: Group) -> tuple[Node, bool]:
    query = builder.query
    sortable = not (
        builder.scope.windows
        or query.distinct_on is not None
        or any(returns_set(target) for target in builder.targets)
    )
    order = builder.order_by if sortable else []
    limit = _limit(query)
    # what looks at all rows before it gives one has no use for the first ones
    first = None if builder.scope.windows or builder.query.order_by or query.distinct_on else limit
    return plan_group(group, order, limit=limit, first=first)


def _limit(query: bound_query.Query) -> float | None:
    """Return how many rows LIMIT and OFFSET let through; a share of them if nobody knows."""
    if query.limit is None:
        return None
    rows = 0.0
    for count in (query.limit, query.offset):
        if isinstance(count, bound.Constant) and isinstance(count.value, int):
            rows += count.value
        elif count is not None:
            rows += estimates.LIMIT_ROWS
    return max(rows, 1.0)


def _grouped(builder: QueryBuilder, group: Group) -> Node:
    scope, query = builder.scope, builder.query
    grouping = Grouping.of(scope, query, group.slots)
    node = plan_extremes(scope, grouping, group)
    if node is None:
        calls = scope.aggregates.values()
        node = plan_aggregates(scope, grouping, plan_group(group)[0], calls)
    builder.rewrite(grouping.replace_keys)
    if builder.having:
        rows = estimates.filtered(node.estimate.rows, builder.having)
        node = Filter(
            estimate=node.estimate._replace(rows=rows),
            child=node,
            conditions=tuple(optimizer.fold(item) for item in builder.having),
            having=True,
        )
    return node


def _windows(builder: QueryBuilder, node: Node) -> Node:
    """Add one node per distinct PARTITION BY and ORDER BY."""
    by_order: dict[Any, list[tuple[Slot, bound.WindowCall]]] = {}
    for slot, call in builder.scope.windows:
        key = (fingerprint(call.partition_by), fingerprint(call.order_by))
        by_order.setdefault(key, []).append((slot, call))
    for calls in by_order.values():
        node = WindowNode(estimate=node.estimate, child=node, calls=tuple(calls))
    return node


def _project_sets(builder: QueryBuilder, node: Node) -> Node:
    """Take set-returning calls out of the targets, the innermost first."""
    chosen = [*(builder.distinct_on or ()), *(key.expression for key in builder.order_by)]
    is_late = builder.distinct_on and builder.order_by and not any(map(returns_set, chosen))
    if is_late and any(map(returns_set, builder.visible)):
        # PostgreSQL calls them only for the rows that stay.
        raise unsupported(
            "set-returning functions beside DISTINCT ON and ORDER BY are not supported"
        )
    while calls := _take_sets(builder):
        estimate = node.estimate._replace(rows=node.estimate.rows * estimates.FUNCTION_ROWS)
        node = ProjectSet(estimate=estimate, child=node, calls=tuple(calls.values()))
    return node


def _take_sets(builder: QueryBuilder) -> dict[int, tuple[Slot, bound.Call]]:
    """Replace the innermost set-returning calls by slots; return them."""
    calls: dict[int, tuple[Slot, bound.Call]] = {}

    def take(part: Expression) -> Expression | None:
        if not (isinstance(part, bound.Call) and part.function.returns_set):
            return None
        if any(returns_set(child) for child in children(part)):
            return None
        slot = builder.scope.planner.slot(part.type_oid, part.typmod)
        return calls.setdefault(id(part), (slot, part))[0]

    builder.rewrite(lambda item: transform(item, take) if returns_set(item) else item)
    return calls


def _finish(
    builder: QueryBuilder, node: Node, locks: list[tuple[int, str]], *, ordered: bool
) -> Node:
    """Add DISTINCT, ORDER BY, locks and LIMIT."""
    query = builder.query
    needs_values = query.distinct_on is not None or (builder.order_by and not ordered)
    if needs_values:
        node = _project(builder, node)
    distinct_rows = query.distinct_on == []
    if distinct_rows:
        node = Distinct(estimate=node.estimate, child=node, expressions=tuple(builder.visible))
    if builder.order_by and not ordered:
        node = _sort(builder, node)
    if builder.distinct_on:
        node = Distinct(
            estimate=node.estimate, child=node, expressions=tuple(builder.distinct_on), on=True
        )
    if locks:
        node = LockRows(estimate=node.estimate, child=node, marks=tuple(locks))
    if builder.limit is not None or builder.offset is not None:
        node = limit_node(node, builder.limit, builder.offset, _ties(builder))
    return node


def _ties(builder: QueryBuilder) -> tuple[SortKey, ...]:
    return tuple(builder.order_by) if builder.query.with_ties else ()


def limit_node(
    node: Node, limit: Expression | None, offset: Expression | None, ties: tuple[SortKey, ...]
) -> Node:
    """Return the node under LIMIT and OFFSET."""
    rows = node.estimate.rows
    if isinstance(limit, bound.Constant) and isinstance(limit.value, int):
        rows = min(rows, max(1.0, float(limit.value)))
    estimate = node.estimate
    share = rows / max(estimate.rows, 1.0)
    total = estimate.startup + (estimate.total - estimate.startup) * share
    return Limit(
        estimate=Estimate(rows, estimate.width, estimate.startup, total),
        child=node,
        limit=limit,
        offset=offset,
        ties=ties,
    )


def _project(builder: QueryBuilder, node: Node) -> Node:
    """Give a slot to every computed value that DISTINCT or ORDER BY looks at."""
    assigned: dict[Any, tuple[Slot, Expression]] = {}
    wanted = [key.expression for key in builder.order_by] + list(builder.distinct_on or ())
    if builder.query.distinct_on == []:
        wanted += builder.visible

    def key_of(item: Expression) -> Any:
        return id(item) if is_volatile(item) else fingerprint(item)

    for item in wanted:
        if isinstance(item, Slot | bound.Constant) or key_of(item) in assigned:
            continue
        slot = builder.scope.planner.slot(item.type_oid, item.typmod)
        assigned[key_of(item)] = (slot, item)
    if not assigned:
        return node

    def replace(item: Expression) -> Expression:
        found = assigned.get(key_of(item))
        return found[0] if found is not None else item

    builder.rewrite(replace)
    return Project(estimate=node.estimate, child=node, assignments=tuple(assigned.values()))


def _sort(builder: QueryBuilder, node: Node) -> Node:
    query = builder.query
    top = query.limit is not None and not query.with_ties and not builder.distinct_on
    estimate = node.estimate
    startup = estimate.total + estimate.rows * SORT_ROW_COST
    return Sort(
        estimate=Estimate(
            estimate.rows,
            estimate.width,
            startup,
            startup + estimate.rows * estimates.ROW_COST,
        ),
        child=node,
        keys=tuple(builder.order_by),
        limit=builder.limit if top else None,
        offset=builder.offset if top else None,
    )


def plan_set_operation(
    scope: Scope,
    query: bound_query.Query,
    plan_query: Callable[..., QueryPlan],
    slots: Sequence[Slot] = (),
    pushed: Sequence[Expression] = (),
    rest: list[Expression] | None = None,
) -> QueryPlan:
    """Plan UNION, INTERSECT or EXCEPT; conditions from outside go into both sides."""
    operation = query.set_operation
    assert operation is not None
    closed = query.limit is not None or query.offset is not None
    left_rest: list[Expression] = []
    inner = () if closed else tuple(pushed)
    left = plan_query(operation.left, scope, slots, inner, left_rest)
    right = plan_query(operation.right, scope, slots, inner, left_rest)
    if rest is not None:
        rest += pushed if closed else {id(item): item for item in left_rest}.values()
    own = [
        scope.planner.slot(output.type_oid, output.typmod, name=output.name)
        for output in left.outputs
    ]
    scope.entries[:] = [list(own)]
    estimate = _set_estimate(operation.operator, left.node.estimate, right.node.estimate)
    node: Node = SetOperationNode(
        estimate=estimate,
        operator=operation.operator,
        all=operation.all,
        left=left,
        right=right,
        slots=tuple(own),
    )
    builder = QueryBuilder(scope, query, slots)
    node = _finish(builder, node, [], ordered=False)
    return QueryPlan(node=node, expressions=tuple(builder.visible), outputs=outputs(query.targets))


def _set_estimate(operator: str, left: Estimate, right: Estimate) -> Estimate:
    rows = left.rows + right.rows if operator.lower() == "union" else left.rows
    total = left.total + right.total + (left.rows + right.rows) * estimates.ROW_COST
    return Estimate(rows, max(left.width, right.width), left.startup, total)
