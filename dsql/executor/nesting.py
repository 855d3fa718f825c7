"""How deep the loops of a plan nest, how long its functions are, and where they are cut.

CPython allows 20 nested loops in a function. A node opens its loops around whatever consumes its rows,
so a chain of 20 joins would be 20 loops deep. Each node is weighed by the loops it opens; where they would
be more than `LOOPS_MAX`, the nodes below become generator functions of their own, which weigh one loop.

A node that keeps its child's rows before it gives any is a *stage*: its loops follow the child's in the
same function, and a chain of 300 windows would be a function of a megabyte. It is cut after `_STAGES_MAX`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dsql.planner import plan as p

LOOPS_MAX = 14  # consumers may open a few more
_STAGES_MAX = 8
_STAGES = (p.WindowNode, p.Sort, p.Distinct, p.AggregateNode)


class Nesting:
    """Weighs the nodes of one plan."""

    def __init__(self) -> None:
        self._weights: dict[p.Node, int] = {}
        self._stages: dict[p.Node, int] = {}
        self._cut: set[p.Node] = set()

    def loops(self, node: p.Node) -> int:
        """Return how many loops a node has open where its rows are consumed."""
        if node in self._cut:
            return 1
        weight = self._weights.get(node)
        if weight is None:
            weight = self._weights[node] = self._weigh(node)
        return weight

    def is_cut(self, node: p.Node) -> bool:
        """Return True if a node must be a function of its own."""
        return node in self._cut

    def _weigh(self, node: p.Node) -> int:
        self._count_stages(node)
        own, around = _weight(node)
        weights = [self.loops(below) for below in around]
        if own + sum(weights) > LOOPS_MAX:
            self._cut.update(below for below in around if self.loops(below) > 1)
            weights = [min(weight, 1) for weight in weights]
        return own + sum(weights)

    def _count_stages(self, node: p.Node) -> None:
        """Note how many stages follow one another up to a node; cut where they have become too many."""
        chain = []
        below: p.Node | None = node
        while below is not None and below not in self._stages:
            chain.append(below)
            below = _below(below)
        count = self._stages.get(below, 0) if below is not None else 0
        for one in reversed(chain):
            count += isinstance(one, _STAGES)
            if count > _STAGES_MAX:
                below = _below(one)
                assert below is not None, "all stages have a child"
                self._cut.add(below)
                count = 1
            self._stages[one] = count


def _below(node: p.Node) -> p.Node | None:
    """Return the one node whose rows a node takes; None for those that take none or join some."""
    if isinstance(node, p.SubqueryScan):
        return node.query.node
    found: p.Node | None = getattr(node, "child", None)
    return found


def _weight(node: p.Node) -> tuple[int, tuple[p.Node, ...]]:
    """Return the loops (and tests that nest like them) of a node itself, and whose rows it is inside."""
    found = _WEIGHTS.get(type(node))
    return found(node) if found is not None else (1, ())


def _scan(node: p.Scan) -> tuple[int, tuple[p.Node, ...]]:
    lists = sum(isinstance(part, p.AnyOf) for part in node.access.prefix)
    return lists + (1 if node.access.unique else 2), ()


def _hash_join(node: p.HashJoin) -> tuple[int, tuple[p.Node, ...]]:
    return (1 if node.kind == "full" else 2), ()


def _nested_loop(node: p.NestedLoop) -> tuple[int, tuple[p.Node, ...]]:
    inside = node.kind == "inner" and node.parameterized
    return (0, (node.outer, node.inner)) if inside else (1, (node.outer,))


def _subquery_scan(node: p.SubqueryScan) -> tuple[int, tuple[p.Node, ...]]:
    return (1, ()) if node.query.ctes else (0, (node.query.node,))


def _child(own: int) -> Callable[[Any], tuple[int, tuple[p.Node, ...]]]:
    return lambda node: (own, (node.child,))


_WEIGHTS: dict[type, Callable[[Any], tuple[int, tuple[p.Node, ...]]]] = {
    p.Result: lambda _node: (0, ()),
    p.Scan: _scan,
    p.SubqueryScan: _subquery_scan,
    p.HashJoin: _hash_join,
    p.NestedLoop: _nested_loop,
    p.Filter: _child(1),
    p.Project: _child(0),
    p.ProjectSet: _child(1),
    p.Distinct: _child(1),
    p.LockRows: _child(1),
    p.InsertNode: _child(1),
    p.UpdateNode: _child(1),
    p.DeleteNode: _child(1),
    p.MergeNode: _child(2),
}
