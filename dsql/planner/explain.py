"""EXPLAIN's view of a plan, in Aurora DSQL's words: what is shown of every node, before it is text.

Some nodes are not shown by themselves: a filter is a line of the node under it, and projections are part of
what is above them. What storage does for a scan is shown as steps under it (`storage`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from dsql.planner import plan as p
from dsql.planner.expression_text import Namer
from dsql.planner.expressions import SubPlan, walk
from dsql.planner.node_text import Pair, details, label, properties
from dsql.planner.plan_slots import node_expressions, read_slots
from dsql.sql.bound import Expression


class Actual(NamedTuple):
    """What a node did: seconds until its first row and its end, rows, how often it was begun.

    `scanned`: rows that a scan has read, before its filter. Times are of all loops together.
    """

    startup: float
    total: float
    rows: int
    loops: int
    scanned: int


class Style(NamedTuple):
    """What is shown besides the nodes. `actual` finds what a node has done, if the plan was run."""

    costs: bool = True
    verbose: bool = False
    timing: bool = True
    actual: Callable[[p.Node], Actual] | None = None


@dataclass(slots=True, eq=False)
class Shown:
    """A node as it is shown, or a step of storage.

    `below` are the nodes that it reads, `first` and `last` with their titles those that are run beside it:
    CTEs and what is computed once before, sub-selects of each row behind.
    """

    label: str
    properties: list[Pair]
    estimate: p.Estimate
    actual: Actual | None = None
    details: list[Pair] = field(default_factory=list)
    storage: list[Shown] = field(default_factory=list)
    first: list[tuple[str, Shown]] = field(default_factory=list)
    below: list[Shown] = field(default_factory=list)
    last: list[tuple[str, Shown]] = field(default_factory=list)


def show(plan: p.Plan, style: Style = Style()) -> Shown:  # noqa: B008
    """Return what is shown of a plan: its topmost node."""
    return _Builder(plan, style).query(plan.query)


class _Builder:
    """Makes what is shown of one plan."""

    def __init__(self, plan: p.Plan, style: Style) -> None:
        self._style = style
        self._text = Namer(plan)
        self._read = read_slots(plan.query)

    def query(self, query: p.QueryPlan) -> Shown:
        """Return the topmost node of a query."""
        shown = self._node(query.node, query.expressions)
        for cte in query.ctes:
            shown.first.append((f"CTE {cte.name}", self.query(cte.query)))
            if cte.recursive is not None:
                recursive = self.query(cte.recursive.query)
                shown.first.append((f"Recursive part of {cte.name}", recursive))
        self._add_subplans(shown, query.expressions)
        return shown

    def _add_subplans(self, shown: Shown, expressions: Iterable[Expression]) -> None:
        for expression in expressions:
            for part in walk(expression):
                if isinstance(part, SubPlan):
                    where = shown.last if part.outer else shown.first
                    where.append((self._text.subplan_title(part), self.query(part.plan)))

    def _node(
        self, node: p.Node, output: Sequence[Expression] = (), last: p.Node | None = None
    ) -> Shown:
        """Return a node with what is below. `last`: the one whose rows are those that it gives."""
        last = node if last is None else last
        if isinstance(node, p.Project):
            return self._node(node.child, output, last)
        if isinstance(node, p.Filter):
            shown = self._node(node.child, output, last)
            self._add_filter(shown, node)
            return shown
        name = label(node, verbose=self._style.verbose, covered=self._is_covered(node))
        of_node = list(properties(node, name, verbose=self._style.verbose))
        shown = Shown(name, of_node, node.estimate, self._actual(last))
        if isinstance(node, p.Modification) and not output and shown.actual is not None:
            shown.actual = shown.actual._replace(rows=0)  # nobody sees them
        output = output or _own_output(node)
        if self._style.verbose and output:
            shown.details.append(("Output", [self._text(item) for item in output]))
        shown.details += details(self._text, node)
        if isinstance(node, p.Scan):
            self._add_storage(shown, node)
        self._add_subplans(shown, node_expressions(node))
        shown.below += [self._node(child) for child in _below(node)]
        shown.below += [self.query(query) for query in _queries(node)]
        return shown

    def _actual(self, node: p.Node) -> Actual | None:
        return None if self._style.actual is None else self._style.actual(node)

    def _add_filter(self, shown: Shown, node: p.Filter) -> None:
        shown.details.append(("Filter", self._text.conjunction(node.conditions)))
        below: p.Node = node.child
        while isinstance(below, p.Project):
            below = below.child
        given, kept = self._actual(below), self._actual(node)
        if given is not None and kept is not None and given.rows > kept.rows:
            removed = round((given.rows - kept.rows) / given.loops)
            shown.details.append(("Rows Removed by Filter", removed))
        self._add_subplans(shown, node.conditions)

    def _is_covered(self, node: p.Node) -> bool:
        return isinstance(node, p.Scan) and not _is_primary(node) and node.is_covered(self._read)

    def _add_storage(self, shown: Shown, node: p.Scan) -> None:
        """Add what storage does for a scan: it gives the rows of the scan, or those before its filter."""
        primary = _is_primary(node)
        by_key = node.index is not None and not (primary and node.access.whole)
        on = node.index.name if node.index is not None and by_key else node.table.name
        actual = self._actual(node)
        read = None if actual is None else actual._replace(rows=actual.scanned)
        entries = _step(f"B-Tree Scan on {on}", node, read)
        entries.details += details(self._text, node)
        scan = _step(f"Storage Scan on {on}", node, actual if primary else read, entries)
        shown.storage.append(scan)
        if primary:
            scan.details += self._storage_details(node, actual)
        elif not self._is_covered(node):
            rows = _step(f"B-Tree Lookup on {node.table.name}", node, read)
            lookup = _step(f"Storage Lookup on {node.table.name}", node, actual, rows)
            lookup.details += self._storage_details(node, actual)
            shown.storage.append(lookup)

    def _storage_details(self, node: p.Scan, actual: Actual | None) -> Iterable[Pair]:
        columns = node.columns.values()
        names = [slot.name for slot in columns if slot.id in self._read or node.row_slot]
        if names:
            yield "Projections", names
        if node.filter:
            yield "Filters", self._text.conjunction(node.filter)
            if actual is not None:
                filtered = (actual.scanned - actual.rows) / max(actual.loops, 1)
                yield "Rows Filtered", round(filtered)


def _step(name: str, node: p.Scan, actual: Actual | None, *below: Shown) -> Shown:
    kind, _, relation = name.partition(" on ")
    of_step = [("Node Type", kind), ("Relation Name", relation)]
    return Shown(name, of_step, node.estimate, actual, storage=list(below))


def _is_primary(node: p.Scan) -> bool:
    return node.index is None or node.index.primary


def _own_output(node: p.Node) -> Sequence[Expression]:
    """Return the columns of a node that reads a relation."""
    if isinstance(node, p.Scan | p.VirtualScan):
        return tuple(node.columns.values())
    if isinstance(node, p.FunctionScan | p.ValuesScan | p.SubqueryScan | p.CteScan):
        return node.slots
    return ()


def _below(node: p.Node) -> Iterable[p.Node]:
    if isinstance(node, p.HashJoin | p.NestedLoop):
        return (node.outer, node.inner)
    child = getattr(node, "child", None)
    return (child,) if child is not None else ()


def _queries(node: p.Node) -> Iterable[p.QueryPlan]:
    if isinstance(node, p.SetOperationNode):
        return (node.left, node.right)
    if isinstance(node, p.SubqueryScan):
        return (node.query,)
    return ()
