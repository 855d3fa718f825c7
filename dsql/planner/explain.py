"""EXPLAIN's text of a plan, in Aurora DSQL's words.

    Index Only Scan using t_pkey on t  (cost=100.05..100.06 rows=1 width=8)
      Index Cond: (id = 1)
      -> Storage Scan on t_pkey (cost=...)
          Projections: id, v
          -> B-Tree Scan on t_pkey (cost=...)
              Index Cond: (id = 1)

A table's own keys read completely are a `Full Scan (btree-table)`; a secondary index adds a `Storage
Lookup` of the rows it names. What storage does is set apart by its narrower margins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from dsql.planner import plan as p
from dsql.planner.expression_text import Namer
from dsql.planner.expressions import SubPlan, walk
from dsql.planner.node_text import details, label
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
    """What is printed besides the nodes. `actual` finds what a node has done, if the plan was run."""

    costs: bool = True
    verbose: bool = False
    timing: bool = True
    actual: Callable[[p.Node], Actual] | None = None


def explain(plan: p.Plan, style: Style = Style()) -> list[str]:  # noqa: B008
    """Return the lines of a plan."""
    return _Printer(plan, style).lines


class _Printer:
    """Prints one plan. `lines` grows from top to bottom."""

    def __init__(self, plan: p.Plan, style: Style) -> None:
        self.lines: list[str] = []
        self._style = style
        self._text = Namer(plan)
        self._read = read_slots(plan.query)
        self._query(plan.query, 0, "")

    def _query(self, query: p.QueryPlan, depth: int, title: str) -> None:
        if title:
            self._line(depth, title)
            depth += 2
        start = depth
        self._node(query.node, start, arrow=bool(title) or depth > 0, output=query.expressions)
        for cte in query.ctes:
            self._query(cte.query, start + 2, f"CTE {cte.name}")
            if cte.recursive is not None:
                self._query(cte.recursive.query, start + 2, f"Recursive part of {cte.name}")
        for expression in query.expressions:
            self._subplans(expression, start + 2)

    def _line(self, depth: int, text: str) -> None:
        self.lines.append(" " * depth + text)

    def _subplans(self, expression: Expression, depth: int) -> None:
        for part in walk(expression):
            if isinstance(part, SubPlan):
                self._query(part.plan, depth, self._text.subplan_title(part))

    def _cost(self, estimate: p.Estimate) -> str:
        if not self._style.costs:
            return ""
        return (
            f" (cost={estimate.startup:.2f}..{estimate.total:.2f} "
            f"rows={estimate.rows:.0f} width={estimate.width})"
        )

    def _node(
        self,
        node: p.Node,
        depth: int,
        *,
        arrow: bool,
        output: Sequence[Expression] = (),
        last: p.Node | None = None,
    ) -> None:
        """Print a node and what is below. `last`: the one whose rows are those that this line gives."""
        last = node if last is None else last
        if isinstance(node, p.Project):
            self._node(node.child, depth, arrow=arrow, output=output, last=last)
            return
        inner = depth + (6 if arrow else 2)
        if isinstance(node, p.Filter):
            self._filtered(node, depth, inner, arrow=arrow, output=output, last=last)
            return
        margin = "->  " if arrow else ""
        name = label(node, verbose=self._style.verbose, covered=self._is_covered(node))
        cost = " " + self._cost(node.estimate) if self._style.costs else ""
        unseen = isinstance(node, p.Modification) and not output
        self._line(depth, margin + name + cost + self._done(last, unseen=unseen))
        if self._style.verbose and (output := output or _own_output(node)):
            self._line(inner, f"Output: {', '.join(self._text(item) for item in output)}")
        for detail in details(self._text, node):
            self._line(inner, detail)
        if isinstance(node, p.Scan):
            self._storage(node, inner)
        for expression in node_expressions(node):
            self._subplans(expression, inner)
        for child in _below(node):
            self._node(child, inner, arrow=True)
        for query in _queries(node):
            self._node(query.node, inner, arrow=True)

    def _filtered(
        self,
        node: p.Filter,
        depth: int,
        inner: int,
        *,
        arrow: bool,
        output: Sequence[Expression],
        last: p.Node,
    ) -> None:
        """Print a filter as lines of the node under it, as PostgreSQL does."""
        below: p.Node = node.child
        while isinstance(below, p.Project):
            below = below.child
        before = len(self.lines) + 1
        self._node(below, depth, arrow=arrow, output=output, last=last)
        margin = " " * inner
        if self.lines[before : before + 1] and self.lines[before].startswith(f"{margin}Output: "):
            before += 1
        filters = [f"{margin}Filter: {self._text.conjunction(node.conditions)}"]
        removed = self._removed(node, below)
        if removed:
            filters.append(f"{margin}Rows Removed by Filter: {removed}")
        self.lines[before:before] = filters
        for condition in node.conditions:
            self._subplans(condition, inner)

    def _removed(self, node: p.Filter, below: p.Node) -> int:
        """Return how many rows a filter took away in each loop."""
        if self._style.actual is None:
            return 0
        given, kept = self._style.actual(below), self._style.actual(node)
        return round((given.rows - kept.rows) / max(given.loops, 1))

    def _done(self, node: p.Node, *, unseen: bool) -> str:
        """Return what a node has done, a loop on the average. `unseen`: its rows are returned to nobody."""
        if self._style.actual is None:
            return ""
        actual = self._style.actual(node)
        loops = actual.loops
        if not loops:
            return " (never executed)"
        times = ""
        if self._style.timing:
            startup, total = actual.startup * 1e3 / loops, actual.total * 1e3 / loops
            times = f"time={startup:.3f}..{total:.3f} "
        rows = 0 if unseen else round(actual.rows / loops)
        return f" (actual {times}rows={rows} loops={loops})"

    def _is_covered(self, node: p.Node) -> bool:
        return isinstance(node, p.Scan) and not _is_primary(node) and node.is_covered(self._read)

    def _storage(self, node: p.Scan, depth: int) -> None:
        """Print what storage does for a scan."""
        text, primary = self._text, _is_primary(node)
        on = node.table.name if node.index is None or primary else node.index.name
        if primary and not node.access.whole and node.index is not None:
            on = node.index.name
        inner = depth + _STORAGE_MARGIN
        self._stored(f"Storage Scan on {on}", node, depth, scanned=not primary)
        if primary:
            self._storage_lines(node, inner)
        self._stored(f"B-Tree Scan on {on}", node, inner, scanned=True)
        if node.access.conditions:
            conditions = text.conjunction(node.access.conditions)
            self._line(inner + _STORAGE_MARGIN, f"Index Cond: {conditions}")
        if not primary and not self._is_covered(node):
            self._stored(f"Storage Lookup on {node.table.name}", node, depth)
            self._storage_lines(node, inner)
            self._stored(f"B-Tree Lookup on {node.table.name}", node, inner, scanned=True)

    def _stored(self, step: str, node: p.Scan, depth: int, *, scanned: bool = False) -> None:
        """Print a step of storage; it gives the rows of the scan, or those before its filter."""
        done = ""
        if self._style.actual is not None:
            actual = self._style.actual(node)
            rows = actual.scanned if scanned else actual.rows
            done = f" (actual rows={round(rows / max(actual.loops, 1))} loops={actual.loops})"
        self._line(depth, f"-> {step}{self._cost(node.estimate)}{done}")

    def _storage_lines(self, node: p.Scan, depth: int) -> None:
        names = [
            slot.name for slot in node.columns.values() if slot.id in self._read or node.row_slot
        ]
        if names:
            self._line(depth, f"Projections: {', '.join(names)}")
        if node.filter:
            self._line(depth, f"Filters: {self._text.conjunction(node.filter)}")
            if self._style.actual is not None:
                actual = self._style.actual(node)
                filtered = round((actual.scanned - actual.rows) / max(actual.loops, 1))
                self._line(depth, f"Rows Filtered: {filtered}")


_STORAGE_MARGIN = 4


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
    if isinstance(node, p.HashJoin):
        return (node.outer, node.inner)
    if isinstance(node, p.NestedLoop):
        return (node.outer, node.inner)
    child = getattr(node, "child", None)
    return (child,) if child is not None else ()


def _queries(node: p.Node) -> Iterable[p.QueryPlan]:
    if isinstance(node, p.SetOperationNode):
        return (node.left, node.right)
    if isinstance(node, p.SubqueryScan):
        return (node.query,)
    return ()
