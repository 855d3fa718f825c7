"""Parts of a plan that is run for many outer rows: what is the same for all of them is kept.

A correlated subquery, and the inner side of a LATERAL join, read columns of the row around them, as a rule
only in a few conditions. What these conditions filter is run once and kept (`Materialize`), by the values
that an equality asks for if there is one:

    (SELECT max(y) FROM h WHERE h.x = t.a AND h.y < t.c)

reads h once, into a table by x, and for each row of t looks at the rows of h that have its a. So a plan
costs its outer rows plus its inner rows instead of their product. An index that answers such a condition
is left to do so.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from dsql.planner import estimates
from dsql.planner import plan as p
from dsql.planner.expressions import Slot, SubPlan, facts_of, slots_of, walk
from dsql.planner.join_keys import lookup_sides
from dsql.planner.plan_slots import (
    access_expressions,
    children,
    inner_queries,
    made_slots,
    node_expressions,
    node_outer_slots,
    query_expressions,
)
from dsql.sql.bound import Expression


def repeated(query: p.QueryPlan, *, whole: bool) -> p.QueryPlan:
    """Return a query that many rows will run. `whole`: each takes all of its rows."""
    node = repeated_node(query.node, whole=whole)
    return query if node is query.node else dataclasses.replace(query, node=node)


def repeated_node(node: p.Node, *, whole: bool) -> p.Node:
    """Return a node that many rows will run. `whole`: each takes all of its rows."""
    if not node_outer_slots(node):
        return _kept(node, (), whole=whole)
    rewrite = _REWRITES.get(type(node))
    return rewrite(node, whole) if rewrite is not None else _with_child(node, whole)


def depends_on(query: p.QueryPlan, outer: frozenset[int]) -> tuple[Slot, ...] | None:
    """Return the slots of `outer` if a query gives the same rows for the same values of them; else None.

    `outer`: those of the queries around it that it reads.
    """
    if not _is_repeatable(query):
        return None
    slots = {(slot.id, slot.type_oid): slot for slot in _slots_read(query) if slot.id in outer}
    return tuple(slots.values()) if outer == {slot for slot, _ in slots} else None


def _slots_read(query: p.QueryPlan) -> Iterator[Slot]:
    for expression in query_expressions(query):
        for part in walk(expression):
            if isinstance(part, Slot):
                yield part
            elif isinstance(part, SubPlan):
                yield from part.depends_on or ()


def _is_repeatable(query: p.QueryPlan) -> bool:
    queries = [part for cte in query.ctes for part in cte.queries]
    return (
        not any(cte.modifies for cte in query.ctes)
        and all(map(_is_repeatable, queries))
        and _is_repeatable_node(query.node)
        and all(map(_is_repeatable_value, query.expressions))
    )


def _is_repeatable_node(node: p.Node) -> bool:
    return (
        not isinstance(node, p.LockRows | p.Modification)
        and all(map(_is_repeatable_value, node_expressions(node)))
        and all(map(_is_repeatable_node, children(node)))
        and all(map(_is_repeatable, inner_queries(node)))
    )


def _is_repeatable_value(node: Expression) -> bool:
    facts = facts_of(node)
    if facts.volatile or not facts.subplans:
        return not facts.volatile
    return all(part.depends_on is not None for part in walk(node) if isinstance(part, SubPlan))


def _kept(node: p.Node, conditions: Sequence[Expression], *, whole: bool) -> p.Node:
    """Return a node that reads nothing of the rows around it, kept, under conditions that do."""
    made = made_slots(node)
    pairs = [(item, lookup_sides(item, made)) for item in conditions]
    keys = [pair for _, pair in pairs if pair is not None]
    if not _is_worth_keeping(node, keyed=bool(keys)) or not _may_be_kept(node, whole=whole):
        return _filtered(node, conditions)
    estimate = node.estimate
    rows = estimates.filtered(estimate.rows, conditions)
    return p.Materialize(
        estimate=p.Estimate(rows, estimate.width, 0.0, rows * estimates.ROW_COST),
        child=node,
        keys=tuple(key for key, _ in keys),
        values=tuple(value for _, value in keys),
        hash_conditions=tuple(item for item, pair in pairs if pair is not None),
        conditions=tuple(item for item, pair in pairs if pair is None),
    )


def _filtered(node: p.Node, conditions: Sequence[Expression]) -> p.Node:
    if not conditions:
        return node
    estimate = node.estimate
    estimate = estimate._replace(rows=estimates.filtered(estimate.rows, conditions))
    return p.Filter(estimate=estimate, child=node, conditions=tuple(conditions))


def _is_worth_keeping(node: p.Node, *, keyed: bool) -> bool:
    """Return False for what is kept already, or has a row at most."""
    if isinstance(node, p.Scan):
        return not node.access.unique
    if isinstance(node, p.CteScan | p.ValuesScan):
        return keyed
    return not isinstance(node, p.Result | p.Materialize)


def _may_be_kept(node: p.Node, *, whole: bool) -> bool:
    """Return False if keeping could be seen: rows of a CTE that nobody asks for may have no end."""
    return _is_repeatable_node(node) and (whole or not _reads_cte(node))


def _reads_cte(node: p.Node) -> bool:
    below = [*children(node), *(query.node for query in inner_queries(node))]
    return isinstance(node, p.CteScan) or any(map(_reads_cte, below))


def _with_child(node: Any, whole: bool) -> p.Node:
    """Return a node over what of its child is kept."""
    child = getattr(node, "child", None)
    if child is None or isinstance(node, p.Materialize | p.LockRows | p.Modification):
        return node  # type: ignore[no-any-return]
    whole = (whole or isinstance(node, _TAKES_ALL)) and not isinstance(node, p.Limit)
    return _changed(node, child=repeated_node(child, whole=whole))


_TAKES_ALL = (p.AggregateNode, p.Sort, p.WindowNode)


def _changed(node: Any, **parts: Any) -> p.Node:
    """Return a node with other parts; itself if they are the same."""
    if all(getattr(node, name) is part for name, part in parts.items()):
        return node  # type: ignore[no-any-return]
    return dataclasses.replace(node, **parts)  # type: ignore[no-any-return]


def _split(
    conditions: Sequence[Expression], made: set[int]
) -> tuple[list[Expression], list[Expression]]:
    """Return the conditions that read nothing beyond `made`, and the others."""
    own = [item for item in conditions if slots_of(item) <= made]
    return own, [item for item in conditions if not slots_of(item) <= made]


def _scan(node: p.Scan, whole: bool) -> p.Node:
    made = made_slots(node)
    reads = any(slots_of(item) - made for item in access_expressions(node.access))
    if reads or node.row_slot or node.key_slot:
        return node
    own, outer = _split(node.filter, made)
    passed = math.prod(map(estimates.selectivity, outer))  # 0 of `= any ('{}')`
    rows = round(node.estimate.rows / passed) if passed else node.estimate.rows
    estimate = node.estimate._replace(rows=rows)
    free = dataclasses.replace(node, filter=tuple(own), estimate=estimate)
    kept = _kept(free, outer, whole=whole)
    return kept if isinstance(kept, p.Materialize) else node


def _filter(node: p.Filter, whole: bool) -> p.Node:
    if node_outer_slots(node.child):
        return _with_child(node, whole)
    own, outer = _split(node.conditions, made_slots(node.child))
    kept = _kept(_filtered(node.child, own), outer, whole=whole)
    return kept if isinstance(kept, p.Materialize) else node


def _hash_join(node: p.HashJoin, whole: bool) -> p.Node:
    """Return a join whose hash table is kept, if its inner side reads nothing of the rows around."""
    if node.kind == "full":
        return node
    outer = repeated_node(node.outer, whole=whole)
    if node_outer_slots(node.inner):
        return _changed(node, outer=outer, inner=repeated_node(node.inner, whole=True))
    inner = _kept(node.inner, (*node.hash_conditions, *node.conditions), whole=True)
    return p.NestedLoop(
        estimate=node.estimate, kind=node.kind, outer=outer, inner=inner, parameterized=True
    )


def _nested_loop(node: p.NestedLoop, whole: bool) -> p.Node:
    outer = repeated_node(node.outer, whole=whole)
    if node.parameterized:
        inner = repeated_node(node.inner, whole=whole and node.kind in ("inner", "left"))
        return _changed(node, outer=outer, inner=inner)
    if node_outer_slots(node.inner):
        return _changed(node, outer=outer, inner=repeated_node(node.inner, whole=True))
    inner = _kept(node.inner, node.conditions, whole=True)
    return _changed(node, outer=outer, inner=inner, conditions=(), parameterized=True)


def _subquery(node: p.SubqueryScan, whole: bool) -> p.Node:
    return _changed(node, query=repeated(node.query, whole=whole))


def _set_operation(node: p.SetOperationNode, whole: bool) -> p.Node:
    taken = whole or node.operator.lower() != "union"
    return _changed(
        node, left=repeated(node.left, whole=whole), right=repeated(node.right, whole=taken)
    )


_REWRITES: dict[type, Callable[[Any, bool], p.Node]] = {
    p.Scan: _scan,
    p.Filter: _filter,
    p.HashJoin: _hash_join,
    p.NestedLoop: _nested_loop,
    p.SubqueryScan: _subquery,
    p.SetOperationNode: _set_operation,
}
