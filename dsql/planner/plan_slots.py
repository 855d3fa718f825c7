"""Which slots a plan reads and which it makes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from dsql.planner import plan as p
from dsql.planner.expressions import slots_of_all
from dsql.sql.bound import Expression


def outer_slots(query: p.QueryPlan) -> set[int]:
    """Return the slots that a query reads but does not make: those of the queries around it."""
    read: set[int] = set()
    made: set[int] = set()
    _query(query, read, made)
    return read - made


def node_outer_slots(node: p.Node) -> set[int]:
    """Return the slots that a node reads but does not make."""
    read: set[int] = set()
    made: set[int] = set()
    _node(node, read, made)
    return read - made


def made_slots(node: p.Node) -> set[int]:
    """Return the slots that a node or a node below it makes."""
    read: set[int] = set()
    made: set[int] = set()
    _node(node, read, made)
    return made


def read_slots(query: p.QueryPlan) -> set[int]:
    """Return the slots that a query reads anywhere."""
    read: set[int] = set()
    _query(query, read, set())
    return read


def children(node: p.Node) -> Iterator[p.Node]:
    """Yield the nodes directly below (those of subqueries in FROM excluded)."""
    for name in ("child", "outer", "inner"):
        below = getattr(node, name, None)
        if below is not None:
            yield below


def _query(query: p.QueryPlan, read: set[int], made: set[int]) -> None:
    for cte in query.ctes:
        _query(cte.query, read, made)
        if cte.recursive is not None:
            _query(cte.recursive.query, read, made)
    _node(query.node, read, made)
    read |= slots_of_all(query.expressions)


def _node(node: p.Node, read: set[int], made: set[int]) -> None:
    for below in children(node):
        _node(below, read, made)
    for name in ("query", "left", "right"):
        inner = getattr(node, name, None)
        if isinstance(inner, p.QueryPlan):
            _query(inner, read, made)
    read |= slots_of_all(node_expressions(node))
    if isinstance(node, p.CteScan) and node.working:
        read.add(-node.cte)  # not a slot, but what changes between the rounds of a recursion
    made |= own_slots(node)


def own_slots(node: p.Node) -> set[int]:
    """Return the slots a node itself adds to its rows."""
    if isinstance(node, p.Scan):
        keys = {node.row_slot, node.key_slot} - {0}
        return {slot.id for slot in node.columns.values()} | keys
    if isinstance(node, p.VirtualScan):
        return {slot.id for slot in node.columns.values()}
    if isinstance(
        node, p.FunctionScan | p.ValuesScan | p.SubqueryScan | p.CteScan | p.SetOperationNode
    ):
        return {slot.id for slot in node.slots}
    if isinstance(node, p.Project):
        return {slot.id for slot, _ in node.assignments}
    if isinstance(node, p.ProjectSet | p.WindowNode):
        return {slot.id for slot, _ in node.calls}
    if isinstance(node, p.AggregateNode):
        made = (*node.keys, *node.calls, *node.groupings)
        return {slot.id for slot, _ in made}
    if isinstance(node, p.Modification):
        made_by = {slot.id for slot in node.new.values()}
        if isinstance(node, p.UpdateNode):
            made_by |= {slot.id for slot in node.old.values()}
        if isinstance(node, p.InsertNode) and node.conflict is not None:
            for columns in (node.conflict.existing, node.conflict.excluded):
                made_by |= {slot.id for slot in columns.values()}
        return made_by
    return set()


def node_expressions(node: p.Node) -> list[Expression]:
    """Return every expression that a node itself evaluates."""
    found = _READS.get(type(node))
    return list(found(node)) if found is not None else []


def access_expressions(access: p.Access) -> Iterator[Expression]:
    """Yield what is evaluated to make an access path's keys."""
    for part in access.prefix:
        yield part.array if isinstance(part, p.AnyOf) else part
    for end in (access.low, access.high):
        if end is not None:
            yield end.value


def _present(*nodes: Expression | None) -> Iterator[Expression]:
    return (node for node in nodes if node is not None)


def _scan(node: p.Scan) -> Iterator[Expression]:
    yield from access_expressions(node.access)
    yield from node.filter


def _hash_join(node: p.HashJoin) -> Iterable[Expression]:
    return (*node.outer_keys, *node.inner_keys, *node.conditions)


def _modification(node: Any) -> Iterator[Expression]:
    yield from (expression for _, expression in node.checks)
    yield from (expression for _, expression in node.generated)
    yield from node.index_expressions.values()
    yield from node.index_predicates.values()


def _insert(node: p.InsertNode) -> Iterator[Expression]:
    yield from _modification(node)
    yield from node.values.values()
    if node.conflict is not None:
        yield from (expression for _, expression in node.conflict.assignments or ())
        yield from _present(node.conflict.where)


def _update(node: p.UpdateNode) -> Iterator[Expression]:
    yield from _modification(node)
    yield from (expression for _, expression in node.assignments)


_READS: dict[type, Callable[[Any], Iterable[Expression]]] = {
    p.Scan: _scan,
    p.VirtualScan: lambda node: node.filter,
    p.FunctionScan: lambda node: node.calls,
    p.ValuesScan: lambda node: (item for row in node.rows for item in row),
    p.Filter: lambda node: node.conditions,
    p.Project: lambda node: (expression for _, expression in node.assignments),
    p.ProjectSet: lambda node: (call for _, call in node.calls),
    p.NestedLoop: lambda node: node.conditions,
    p.HashJoin: _hash_join,
    p.AggregateNode: lambda node: (
        *(expression for _, expression in node.keys),
        *(call for _, call in node.calls),
    ),
    p.WindowNode: lambda node: (call for _, call in node.calls),
    p.Sort: lambda node: (
        *(key.expression for key in node.keys),
        *_present(node.limit, node.offset),
    ),
    p.Limit: lambda node: (
        *_present(node.limit, node.offset),
        *(key.expression for key in node.ties),
    ),
    p.Distinct: lambda node: node.expressions,
    p.InsertNode: _insert,
    p.UpdateNode: _update,
    p.DeleteNode: _modification,
}
