"""Which slots a plan reads and which it makes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from dsql.planner import plan as p
from dsql.planner.expressions import Slot, slots_of_all
from dsql.sql.bound import Expression
from dsql.sql.bound_query import ConstantRows
from dsql.types import oids


def outer_slots(query: p.QueryPlan) -> set[int]:
    """Return the slots that a query reads but does not make: those of the queries around it."""
    read: set[int] = set()
    made: set[int] = set()
    _query(query, read, made)
    return read - made


def cte_outer_slots(cte: p.CtePlan) -> set[int]:
    """Return the slots that a CTE reads of the queries around it."""
    read: set[int] = set()
    made: set[int] = set()
    _cte(cte, read, made)
    return read - made


def node_outer_slots(node: p.Node) -> set[int]:
    """Return the slots that a node reads but does not make."""
    read: set[int] = set()
    made: set[int] = set()
    _node(node, read, made)
    return read - made


def made_slots(node: p.Node) -> set[int]:
    """Return the slots that a node and what is below it make."""
    made: set[int] = set()
    _node(node, set(), made)
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


def inner_queries(node: p.Node) -> Iterator[p.QueryPlan]:
    """Yield the queries that a node runs for its rows."""
    for name in ("query", "left", "right"):
        inner = getattr(node, name, None)
        if isinstance(inner, p.QueryPlan):
            yield inner


def _query(query: p.QueryPlan, read: set[int], made: set[int]) -> None:
    for cte in query.ctes:
        _cte(cte, read, made)
    _node(query.node, read, made)
    read |= slots_of_all(query.expressions)


def _cte(cte: p.CtePlan, read: set[int], made: set[int]) -> None:
    for query in cte.queries:
        _query(query, read, made)
    made.add(-cte.id)


def _node(node: p.Node, read: set[int], made: set[int]) -> None:
    for below in children(node):
        _node(below, read, made)
    for inner in inner_queries(node):
        _query(inner, read, made)
    read |= slots_of_all(node_expressions(node))
    if isinstance(node, p.CteScan) and node.working:
        read.add(-node.cte)  # not a slot, but what changes between the rounds of a recursion
    if isinstance(node, p.CteScan):
        read |= node.outer
    made |= own_slots(node)


class MadeSlots:
    """What the nodes of one plan make, or a node below them. Each is looked at once, however deep it is."""

    def __init__(self) -> None:
        self._slots: dict[p.Node, frozenset[int]] = {}
        self._types: dict[p.Node, Mapping[int, int]] = {}

    def slots(self, node: p.Node) -> frozenset[int]:
        """Return all slots, those of subqueries included."""
        found = self._slots.get(node)
        if found is None:
            made = own_slots(node)
            for below in children(node):
                made |= self.slots(below)
            for query in inner_queries(node):
                _query(query, set(), made)
            found = self._slots[node] = frozenset(made)
        return found

    def types(self, node: p.Node) -> Mapping[int, int]:
        """Return the type OIDs of the slots, those of subqueries excluded."""
        found = self._types.get(node)
        if found is None:
            types: dict[int, int] = {}
            for below in children(node):
                types |= self.types(below)
            for slot in _made(node):
                types[slot.id] = slot.type_oid
            if isinstance(node, p.Scan):
                types[node.row_slot], types[node.key_slot] = oids.RECORD, oids.BYTEA
            found = self._types[node] = types
        return found


def own_slots(node: p.Node) -> set[int]:
    """Return the slots a node itself adds to its rows."""
    own = {slot.id for slot in _made(node)}
    if isinstance(node, p.Scan):
        own |= {node.row_slot, node.key_slot} - {0}
    return own


def _made(node: p.Node) -> Iterable[Slot]:
    """Return the columns a node itself adds to its rows; the row and key of a scan are none."""
    if isinstance(node, p.Scan | p.VirtualScan):
        return node.columns.values()
    if isinstance(
        node, p.FunctionScan | p.ValuesScan | p.SubqueryScan | p.CteScan | p.SetOperationNode
    ):
        return node.slots
    if isinstance(node, p.Project):
        return [slot for slot, _ in node.assignments]
    if isinstance(node, p.ProjectSet | p.WindowNode):
        return [slot for slot, _ in node.calls]
    if isinstance(node, p.AggregateNode):
        return [slot for slot, _ in (*node.keys, *node.calls, *node.groupings)]
    if isinstance(node, p.MergeNode):
        return [slot for action in node.actions if action.write for slot in _made(action.write)]
    if isinstance(node, p.Modification):
        made = [*node.new.values()]
        if isinstance(node, p.UpdateNode):
            made += node.old.values()
        if isinstance(node, p.InsertNode) and node.conflict is not None:
            made += [*node.conflict.existing.values(), *node.conflict.excluded.values()]
        return made
    return []


def node_expressions(node: p.Node) -> list[Expression]:
    """Return every expression that a node itself evaluates."""
    found = _READS.get(type(node))
    return list(found(node)) if found is not None else []


def query_expressions(query: p.QueryPlan) -> Iterator[Expression]:
    """Yield every expression that a query evaluates, in its nodes, CTEs and the queries in its FROM too."""
    waiting: list[p.Node] = [query.node]
    yield from query.expressions
    for cte in query.ctes:
        for part in cte.queries:
            yield from query_expressions(part)
    while waiting:
        node = waiting.pop()
        yield from node_expressions(node)
        for inner in inner_queries(node):
            yield from query_expressions(inner)
        waiting += children(node)


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
    yield from (expression for _, expression in (*node.checks, *node.view_checks))
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


def _merge(node: p.MergeNode) -> Iterator[Expression]:
    for action in node.actions:
        yield from _present(action.condition)
        if action.write is not None:
            yield from node_expressions(action.write)


_READS: dict[type, Callable[[Any], Iterable[Expression]]] = {
    p.Scan: _scan,
    p.VirtualScan: lambda node: node.filter,
    p.FunctionScan: lambda node: node.calls,
    p.ValuesScan: lambda node: (
        () if isinstance(node.rows, ConstantRows) else p.expressions_of_rows(node.rows)
    ),
    p.Filter: lambda node: node.conditions,
    p.Project: lambda node: (expression for _, expression in node.assignments),
    p.ProjectSet: lambda node: (call for _, call in node.calls),
    p.NestedLoop: lambda node: node.conditions,
    p.HashJoin: _hash_join,
    p.Materialize: lambda node: (*node.keys, *node.values, *node.conditions),
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
    p.MergeNode: _merge,
}
