"""Prints the expressions that only queries have: aggregates, window calls, subqueries, sort keys."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from dsql.catalog.catalog import Catalog
from dsql.catalog.pretty import pretty
from dsql.errors import unsupported
from dsql.sql import bound
from dsql.sql import bound_query as query
from dsql.sql.expression_text import constant_text, spread
from dsql.sql.query_names import NamePrinter, TextStyle
from dsql.types.identifier import quote_identifier
from dsql.types.typmod import format_type

STEP, _CASE = 8, 4  # PostgreSQL's PRETTYINDENT_STD and _VAR
_INDENT_MAX = 40


class QueryExpressionPrinter(NamePrinter):
    """Prints expressions of queries; `subquery` is the work of who prints whole ones.

    `_indent` is the column in which the query at hand begins, `_cases` how deep in CASE an expression is.
    """

    def __init__(self, catalog: Catalog, style: TextStyle) -> None:
        super().__init__(catalog, style)
        self._indent = 0
        self._cases = 0

    def _line(self, words: str, shift: int) -> str:
        """Return words at the begin of a new line, `shift` columns right of the query's own."""
        return "\n" + " " * (min(self._indent, _INDENT_MAX) + shift) + words

    def case_line(self, words: str) -> str:
        """Return a line of a CASE."""
        return self._line(words, STEP + self._cases * _CASE)

    @contextmanager
    def inside_case(self) -> Iterator[None]:
        """See `ExpressionPrinter`."""
        self._cases += 1
        yield
        self._cases -= 1

    def _top(self, expression: bound.Expression) -> str:
        """Return an expression of a clause."""
        text = self.text(expression)
        return pretty(text) if self._style.is_pretty else text

    def _item(self, expression: bound.Expression) -> str:
        """Return an item of GROUP BY or ORDER BY: a call in parentheses, a bare constant with its type."""
        if isinstance(expression, bound.ColumnRef):
            return self.column(expression)
        if isinstance(expression, bound.Constant):
            text = constant_text(expression, self)
            return text if "::" in text else f"{text}::{format_type(expression.type_oid, -1)}"
        text = self._top(expression)
        return text if text.startswith("(") and not self._style.is_pretty else f"({text})"

    def row(self, node: bound.RowConstructor) -> str:
        """Return a row; that of a whole relation is more than its fields: it may be missing."""
        name = self._relation_of_row(node)
        return f"{name}.*" if name else super().row(node)

    def _relation_of_row(self, expression: bound.Expression) -> str:
        """Return the name of the relation whose whole row an expression is, "" if it is none."""
        if isinstance(expression, bound.RowConstructor) and expression.whole and expression.fields:
            first = expression.fields[0]
            if isinstance(first, bound.ColumnRef):
                return quote_identifier(self._level(first.levels_up).names[first.entry])
        return ""

    def _group_by(self, node: query.Query) -> str:
        sets = node.grouping_sets or []
        if len(sets) == 1:
            return ", ".join(self._item(node.group_by[number]) for number in sets[0])
        shown = (", ".join(self._item(node.group_by[number]) for number in each) for each in sets)
        return f"GROUPING SETS ({', '.join(f'({text})' for text in shown)})"

    def _sort_key(self, key: bound.SortKey, node: query.Query | None = None) -> str:
        if node is not None and node.set_operation is not None:
            targets = [target.expression for target in node.targets]
            text = str(1 + next(i for i, each in enumerate(targets) if each is key.expression))
        else:
            text = self._item(key.expression)
        text += " DESC" if key.descending else ""
        if key.nulls_first != key.descending:
            text += " NULLS FIRST" if key.nulls_first else " NULLS LAST"
        return text

    def _order_by(self, keys: Iterable[bound.SortKey]) -> str:
        return f"ORDER BY {', '.join(self._sort_key(key) for key in keys)}"

    def other(self, node: bound.Expression) -> str:
        """Return the text of what only queries have: aggregates, window calls, subqueries."""
        if isinstance(node, bound.Parameter):
            return self.parameter(node)
        write = _WRITERS.get(type(node))
        if write is None:
            raise unsupported(f"{type(node).__name__} has no text")
        return write(self, node)

    def aggregate(self, node: Any) -> str:
        """Return an aggregate call."""
        arguments = ", ".join(map(self.operand, spread(node.aggregate, node.arguments))) or "*"
        name = quote_identifier(node.aggregate.name)
        if node.aggregate.written is not None:
            order = self._order_by(node.order_by) if node.order_by else ""
            text = str(node.aggregate.written(list(map(self.operand, node.arguments)), order))
        elif node.aggregate.ordered_set:
            direct = ", ".join(map(self.operand, node.direct))
            text = f"{name}({direct}) WITHIN GROUP ({self._order_by(node.order_by)})"
        else:
            distinct = "DISTINCT " if node.distinct else ""
            order = f" {self._order_by(node.order_by)}" if node.order_by else ""
            text = f"{name}({distinct}{arguments}{order})"
        return text + self._filter(node)

    def _filter(self, node: Any) -> str:
        return "" if node.filter is None else f" FILTER (WHERE {self.text(node.filter)})"

    def window(self, node: Any) -> str:
        """Return a window call with its window."""
        is_star = not node.arguments and node.function.name == "count"
        arguments = "*" if is_star else ", ".join(map(self.operand, node.arguments))
        parts = []
        if node.partition_by:
            parts.append(f"PARTITION BY {', '.join(map(self._item, node.partition_by))}")
        if node.order_by:
            parts.append(self._order_by(node.order_by))
        frame = self._frame(node.frame)
        parts += [frame] if frame else []
        call = f"{quote_identifier(node.function.name)}({arguments})"
        written = getattr(node.function, "written", None)
        if written is not None:
            call = written(list(map(self.operand, node.arguments)), "")
        return f"{call}{self._filter(node)} OVER ({' '.join(parts)})"

    def _offset(self, offset: bound.Expression) -> str:
        """Return a frame's offset as it was written, before it became a bigint."""
        if isinstance(offset, bound.Call) and offset.cast and offset.implicit:
            offset = offset.arguments[0]
        return self.operand(offset)

    def _frame(self, frame: bound.WindowFrame) -> str:
        default = bound.WindowFrame()
        written = (frame.mode, frame.start, frame.end, frame.exclusion)
        if written == (default.mode, default.start, default.end, default.exclusion):
            return ""
        start, end = (
            (f"{self._offset(offset)} " if offset is not None else "") + words.upper()
            for words, offset in (frame.start, frame.end)
        )
        exclusion = f" EXCLUDE {frame.exclusion.upper()}" if frame.exclusion else ""
        return f"{frame.mode.upper()} BETWEEN {start} AND {end}{exclusion}"

    def subquery(self, node: query.Query) -> str:
        """Return a query inside an expression."""
        raise NotImplementedError

    def quantified(self, node: Any) -> str:
        """Return IN, ANY or ALL of a query."""
        left = ", ".join(map(self.operand, node.left))
        left = f"({left})" if len(node.left) > 1 else left
        words = f"{node.operator} {'ALL' if node.all else 'ANY'}"
        words = "IN" if words == "= ANY" else words
        return f"({left} {words} {self.subquery(node.query)})"


_WRITERS: dict[type[bound.Expression], Callable[[QueryExpressionPrinter, Any], str]] = {
    bound.AggregateCall: QueryExpressionPrinter.aggregate,
    bound.WindowCall: QueryExpressionPrinter.window,
    bound.GroupingCall: lambda printer, node: (
        f"GROUPING({', '.join(map(printer.operand, node.arguments))})"
    ),
    bound.Exists: lambda printer, node: f"(EXISTS {printer.subquery(node.query)})",
    bound.ScalarSubquery: lambda printer, node: printer.subquery(node.query),
    bound.ArraySubquery: lambda printer, node: f"ARRAY{printer.subquery(node.query)}",
    bound.QuantifiedSubquery: QueryExpressionPrinter.quantified,
}
