"""Plan expressions as SQL text for EXPLAIN.

The binder's printer does the work: slots, subplans and aggregates go into it as column names that occur
nowhere else, and are replaced in its text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from dsql.errors import SqlError
from dsql.planner import plan as p
from dsql.planner.expressions import Slot, SubPlan, transform
from dsql.planner.plan_slots import children
from dsql.sql import bound
from dsql.sql.bound import Expression
from dsql.sql.expression_text import expression_text
from dsql.types import oids, reg

_MARK = re.compile(r"dsql_part_(\d+)_")


class Namer:
    """Spells the expressions of one plan. Columns are qualified if it has several relations."""

    def __init__(self, plan: p.Plan) -> None:
        self._names: dict[int, str] = {}
        self._titles: dict[int, str] = {}
        self._results: dict[int, Expression] = {}
        scans: list[tuple[str, list[Slot]]] = []
        self._collect(plan.query, scans)
        for alias, slots in scans:
            for slot in slots:
                self._names[slot.id] = f"{alias}.{slot.name}" if len(scans) > 1 else slot.name

    def _collect(self, query: p.QueryPlan, scans: list[tuple[str, list[Slot]]]) -> None:
        for cte in query.ctes:
            self._collect(cte.query, scans)
        self._collect_node(query.node, scans)

    def _collect_node(self, node: p.Node, scans: list[tuple[str, list[Slot]]]) -> None:
        if isinstance(node, p.Scan | p.VirtualScan):
            scans.append((node.alias, list(node.columns.values())))
        elif isinstance(node, p.FunctionScan | p.ValuesScan | p.SubqueryScan | p.CteScan):
            scans.append((node.alias, list(node.slots)))
        elif isinstance(node, p.AggregateNode):
            self._results.update((slot.id, call) for slot, call in node.calls)
            self._results.update(
                (slot.id, item) for slot, item in node.keys if not isinstance(item, Slot)
            )
        elif isinstance(node, p.Project):
            self._results.update((slot.id, item) for slot, item in node.assignments)
        for name in ("query", "left", "right"):
            inner = getattr(node, name, None)
            if isinstance(inner, p.QueryPlan):
                self._collect(inner, scans)
        for below in children(node):
            self._collect_node(below, scans)

    def subplan_title(self, node: SubPlan) -> str:
        """Return how a subplan is called ("SubPlan 1", "InitPlan 2")."""
        word = "SubPlan" if node.outer else "InitPlan"
        return self._titles.setdefault(id(node), f"{word} {len(self._titles) + 1}")

    def conjunction(self, conditions: Sequence[Expression]) -> str:
        """Return conditions joined by AND, in parentheses."""
        texts = [_parenthesised(self(condition)) for condition in conditions]
        return texts[0] if len(texts) == 1 else f"({' AND '.join(texts)})"

    def __call__(self, node: Expression) -> str:
        """Return the text of one expression."""
        parts: list[str] = []

        def mark(part: Expression) -> Expression | None:
            text = self._special(part)
            if text is None:
                return None
            parts.append(text)
            return bound.ColumnRef(
                type_oid=part.type_oid,
                typmod=part.typmod,
                entry=0,
                column=0,
                name=f"dsql_part_{len(parts) - 1}_",
            )

        marked = transform(node, mark)
        try:
            text = expression_text(marked)
        except SqlError:
            return type(node).__name__.lower()
        return _MARK.sub(lambda match: parts[int(match[1])], text)

    def _special(self, node: Expression) -> str | None:
        """Return the text of what the binder's printer does not know."""
        if isinstance(node, Slot):
            result = self._results.get(node.id)
            if result is not None and not isinstance(result, Slot):
                return f"({self(result)})"
            return self._names.get(node.id, node.name or f"column{node.id}")
        if isinstance(node, bound.Constant) and node.type_oid == oids.REGCLASS and node.value:
            name = reg.name_of("regclass", node.value).replace("'", "''")
            return f"'{name}'::regclass"
        if isinstance(node, SubPlan):
            return f"({self.subplan_title(node)})"
        if isinstance(node, bound.Parameter):
            return f"${node.index + 1}"
        if isinstance(node, bound.AggregateCall):
            arguments = ", ".join(self(item) for item in node.arguments) or "*"
            word = "DISTINCT " if node.distinct else ""
            return f"{node.aggregate.name}({word}{arguments})"
        if isinstance(node, bound.WindowCall):
            arguments = ", ".join(self(item) for item in node.arguments)
            return f"{node.function.name}({arguments}) OVER (?)"
        return None


def _parenthesised(text: str) -> str:
    return text if text.startswith("(") and text.endswith(")") else f"({text})"
