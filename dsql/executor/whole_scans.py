"""Which scans of CTEs are read to their end, once they are begun.

A reader that may stop early (below a LIMIT, in EXISTS, of a cursor) must not have more rows of a CTE
produced than it takes: there may be no end of them, or an error behind. For the others all are produced at
once, which saves a step per row.
"""

from __future__ import annotations

from collections.abc import Iterable

from dsql.planner import plan as p
from dsql.planner.plan_slots import children

_WHOLE = (
    p.AggregateNode,
    p.Sort,
    p.WindowNode,
    p.Modification,
    p.Materialize,
)  # give nothing before the child's end


class WholeScans:
    """Finds them in the queries of one program."""

    def __init__(self) -> None:
        self._known: dict[p.Node, bool] = {}

    def __contains__(self, scan: p.CteScan) -> bool:
        return self._known.get(scan, False)

    def find(self, node: p.Node, *, whole: bool) -> None:
        """Look through a query's nodes; `whole`: all its rows will be taken."""
        waiting = [] if node in self._known else [(node, whole)]
        while waiting:
            found, taken = waiting.pop()
            self._known[found] = taken
            waiting += _below(found, taken)


def _below(node: p.Node, whole: bool) -> Iterable[tuple[p.Node, bool]]:
    """Return the nodes whose rows a node reads, and whether it reads all of them."""
    if isinstance(node, p.HashJoin):
        return (node.outer, whole), (node.inner, True)
    if isinstance(node, p.NestedLoop):
        again = whole and node.kind in ("inner", "left")
        return (node.outer, whole), (node.inner, again or not node.parameterized)
    if isinstance(node, p.SubqueryScan):
        return ((node.query.node, whole),)
    if isinstance(node, p.SetOperationNode):
        counted = node.operator.lower() != "union"
        return (node.left.node, whole), (node.right.node, whole or counted)
    taken = (whole or isinstance(node, _WHOLE)) and not isinstance(node, p.Limit)
    return [(below, taken) for below in children(node)]
