"""EXPLAIN's text of a plan, in Aurora DSQL's words.

    Index Only Scan using t_pkey on t  (cost=100.05..100.06 rows=1 width=8)
      Index Cond: (id = 1)
      ->  Storage Scan on t_pkey  (cost=... )
            Projections: id, v
            ->  B-Tree Scan on t_pkey  (cost=...)
                  Index Cond: (id = 1)

A table's own keys read completely are a `Full Scan (btree-table)`; a secondary index adds a `Storage
Lookup` of the rows it names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from dsql.planner import plan as p
from dsql.planner.expression_text import Namer
from dsql.planner.expressions import SubPlan, walk
from dsql.planner.plan_slots import node_expressions, read_slots
from dsql.sql.bound import Expression, SortKey


def explain(plan: p.Plan, *, costs: bool = True) -> list[str]:
    """Return the lines of a plan."""
    return _Printer(plan, costs=costs).lines


class _Printer:
    """Prints one plan. `lines` grows from top to bottom."""

    def __init__(self, plan: p.Plan, *, costs: bool) -> None:
        self.lines: list[str] = []
        self._costs = costs
        self._text = Namer(plan)
        self._read = read_slots(plan.query)
        self._query(plan.query, 0, "")

    def _query(self, query: p.QueryPlan, depth: int, title: str) -> None:
        if title:
            self._line(depth, title)
            depth += 2
        start = depth
        self._node(query.node, start, arrow=bool(title) or depth > 0)
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
        if not self._costs:
            return ""
        return (
            f"  (cost={estimate.startup:.2f}..{estimate.total:.2f} "
            f"rows={estimate.rows:.0f} width={estimate.width})"
        )

    def _node(self, node: p.Node, depth: int, *, arrow: bool) -> None:
        if isinstance(node, p.Project):
            self._node(node.child, depth, arrow=arrow)
            return
        if isinstance(node, p.Filter):
            self._filtered(node, depth, arrow=arrow)
            return
        self._heading(_label(node), node.estimate, depth, arrow=arrow)
        inner = depth + (6 if arrow else 2)
        for detail in self._details(node):
            self._line(inner, detail)
        if isinstance(node, p.Scan):
            self._storage(node, inner)
        for expression in node_expressions(node):
            self._subplans(expression, inner)
        for child in _below(node):
            self._node(child, inner, arrow=True)
        for query in _queries(node):
            self._node(query.node, inner, arrow=True)

    def _filtered(self, node: p.Filter, depth: int, *, arrow: bool) -> None:
        """Print a filter as a line of the node under it, as PostgreSQL does."""
        below: p.Node = node.child
        while isinstance(below, p.Project):
            below = below.child
        before = len(self.lines)
        self._node(below, depth, arrow=arrow)
        inner = depth + (6 if arrow else 2)
        line = " " * inner + "Filter: " + self._text.conjunction(node.conditions)
        self.lines.insert(before + 1, line)
        for condition in node.conditions:
            self._subplans(condition, inner)

    def _heading(self, label: str, estimate: p.Estimate, depth: int, *, arrow: bool) -> None:
        prefix = "->  " if arrow else ""
        self._line(depth, prefix + label + self._cost(estimate))

    def _details(self, node: p.Node) -> Iterator[str]:
        find = _DETAILS.get(type(node))
        if find is not None:
            yield from find(self._text, node)

    def _storage(self, node: p.Scan, depth: int) -> None:
        """Print what storage does for a scan."""
        estimate, text = node.estimate, self._text
        primary = node.index is None or node.index.primary
        on = node.table.name if node.index is None or primary else node.index.name
        if primary and not node.access.whole and node.index is not None:
            on = node.index.name
        self._heading(f"Storage Scan on {on}", estimate, depth, arrow=True)
        inner = depth + 6
        if primary:
            self._storage_lines(node, inner)
        self._heading(f"B-Tree Scan on {on}", estimate, inner, arrow=True)
        if node.access.conditions:
            self._line(inner + 6, f"Index Cond: {text.conjunction(node.access.conditions)}")
        if not primary:
            self._heading(f"Storage Lookup on {node.table.name}", estimate, depth, arrow=True)
            self._storage_lines(node, inner)
            self._heading(f"B-Tree Lookup on {node.table.name}", estimate, inner, arrow=True)

    def _storage_lines(self, node: p.Scan, depth: int) -> None:
        names = [
            slot.name for slot in node.columns.values() if slot.id in self._read or node.row_slot
        ]
        if names:
            self._line(depth, f"Projections: {', '.join(names)}")
        if node.filter:
            self._line(depth, f"Filters: {self._text.conjunction(node.filter)}")


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


def _on(name: str, alias: str) -> str:
    return name if name == alias else f"{name} {alias}"


def _scan_label(node: Any) -> str:
    target = _on(node.table.name, node.alias)
    backward = " Backward" if node.reverse else ""
    if node.index is None or (node.index.primary and node.access.whole and not node.reverse):
        return f"Full Scan (btree-table) on {target}"
    if node.index.primary:
        return f"Index Only Scan{backward} using {node.index.name} on {target}"
    return f"Index Scan{backward} using {node.index.name} on {target}"


def _join_word(kind: str) -> str:
    return "" if kind == "inner" else f" {kind.capitalize()}"


def _hash_label(node: Any) -> str:
    return f"Hash{_join_word(node.kind)} Join"


def _loop_label(node: Any) -> str:
    word = _join_word(node.kind)
    return f"Nested Loop{word} Join" if word else "Nested Loop"


def _aggregate_label(node: Any) -> str:
    if len(node.sets) > 1:
        return "MixedAggregate"
    return "HashAggregate" if node.keys else "Aggregate"


def _set_label(node: Any) -> str:
    if node.operator.lower() == "union":
        return "Append" if node.all else "HashAggregate"
    word = f"HashSetOp {node.operator.capitalize()}"
    return word + (" All" if node.all else "")


def _modify_label(word: str) -> Callable[[Any], str]:
    return lambda node: f"{word} on {_on(node.table.name, node.alias)}"


_LABELS: dict[type, Callable[[Any], str]] = {
    p.Result: lambda _: "Result",
    p.Scan: _scan_label,
    p.VirtualScan: lambda n: f"Seq Scan on {_on(n.relation.name, n.alias)}",
    p.FunctionScan: lambda n: f"Function Scan on {n.alias}",
    p.ValuesScan: lambda n: "Result" if len(n.rows) == 1 else f'Values Scan on "{n.alias}"',
    p.SubqueryScan: lambda n: f"Subquery Scan on {n.alias}",
    p.CteScan: lambda n: (
        f"WorkTable Scan on {n.name}" if n.working else f"CTE Scan on {_on(n.name, n.alias)}"
    ),
    p.ProjectSet: lambda _: "ProjectSet",
    p.HashJoin: _hash_label,
    p.NestedLoop: _loop_label,
    p.AggregateNode: _aggregate_label,
    p.WindowNode: lambda _: "WindowAgg",
    p.Sort: lambda _: "Sort",
    p.Limit: lambda _: "Limit",
    p.Distinct: lambda n: "Unique" if n.on else "HashAggregate",
    p.SetOperationNode: _set_label,
    p.LockRows: lambda _: "LockRows",
    p.InsertNode: _modify_label("Insert"),
    p.UpdateNode: _modify_label("Update"),
    p.DeleteNode: _modify_label("Delete"),
}


def _label(node: p.Node) -> str:
    return _LABELS[type(node)](node)


def _scan_details(text: Namer, node: Any) -> Iterator[str]:
    if node.access.conditions:
        yield f"Index Cond: {text.conjunction(node.access.conditions)}"


def _filter_details(text: Namer, node: Any) -> Iterator[str]:
    if node.filter:
        yield f"Filter: {text.conjunction(node.filter)}"


def _hash_details(text: Namer, node: Any) -> Iterator[str]:
    if node.hash_conditions:
        yield f"Hash Cond: {text.conjunction(node.hash_conditions)}"
    if node.conditions:
        yield f"Join Filter: {text.conjunction(node.conditions)}"


def _loop_details(text: Namer, node: Any) -> Iterator[str]:
    if node.conditions:
        yield f"Join Filter: {text.conjunction(node.conditions)}"


def _aggregate_details(text: Namer, node: Any) -> Iterator[str]:
    if len(node.sets) > 1:
        for members in node.sets:
            names = [text(node.keys[member][1]) for member in members]
            yield f"Hash Key: {', '.join(names)}" if names else "Group Key: ()"
    elif node.keys:
        yield f"Group Key: {', '.join(text(item) for _, item in node.keys)}"


def _sort_details(text: Namer, node: Any) -> Iterator[str]:
    yield f"Sort Key: {', '.join(_sort_key(text, key) for key in node.keys)}"


def _sort_key(text: Namer, key: SortKey) -> str:
    words = text(key.expression)
    if key.descending:
        words += " DESC"
    if key.nulls_first != key.descending:
        words += " NULLS FIRST" if key.nulls_first else " NULLS LAST"
    return words


def _distinct_details(text: Namer, node: Any) -> Iterator[str]:
    if not node.on:
        yield f"Group Key: {', '.join(text(item) for item in node.expressions)}"


_DETAILS: dict[type, Callable[[Namer, Any], Iterator[str]]] = {
    p.Scan: _scan_details,
    p.VirtualScan: _filter_details,
    p.HashJoin: _hash_details,
    p.NestedLoop: _loop_details,
    p.AggregateNode: _aggregate_details,
    p.Sort: _sort_details,
    p.Distinct: _distinct_details,
}
