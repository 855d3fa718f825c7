"""Bound queries as SQL text, laid out as PostgreSQL's ruleutils does (get_query_def).

Two readers: the catalog keeps a view's query as such text, with every relation qualified and every output
column named, so that it means the same whoever reads it; pg_get_viewdef shows it with what the search
path makes superfluous left out. Tables, views and their columns have the names that `catalog` has for
them, which need not be those that the query was bound under: so a text follows what is renamed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from dsql.catalog.catalog import Catalog
from dsql.catalog.pretty import pretty
from dsql.errors import unsupported
from dsql.sql import bound
from dsql.sql import bound_query as query
from dsql.sql.query_expressions import STEP, QueryExpressionPrinter
from dsql.sql.query_names import TextStyle, relation_of, visible
from dsql.types import oids
from dsql.types.identifier import quote_identifier
from dsql.types.typmod import format_type

_LIST, _JOIN = 4, 4  # PRETTYINDENT_VAR and _JOIN


def query_text(
    root: query.Query, catalog: Catalog, style: TextStyle, columns: Sequence[str] = ()
) -> str:
    """Return the text of a query whose output columns are called `columns`, by default as they are.

    Raises SqlError 0A000 for what has no text: statements that change data.
    """
    return _QueryPrinter(catalog, style).whole(root, columns, 0)


def statement_text(root: query.Query, catalog: Catalog, style: TextStyle) -> str:
    """Return the text of a statement of a function's body, whose columns' names nobody sees."""
    return _QueryPrinter(catalog, style).whole(root, (), 1, named=False)


def value_text(root: query.Query, catalog: Catalog, style: TextStyle) -> str:
    """Return the text of the only value of a query without FROM."""
    return _QueryPrinter(catalog, style).value(root)


class _QueryPrinter(QueryExpressionPrinter):
    """Prints one statement."""

    # ------------------------------------------------------------ queries

    def value(self, node: query.Query) -> str:
        """Return the first target of a query."""
        self._enter(node)
        text = self.text(node.targets[0].expression)
        self._levels.pop()
        return text

    def whole(
        self,
        node: query.Query,
        columns: Sequence[str],
        indent: int,
        *,
        named: bool = True,
        is_side: bool = False,
    ) -> str:
        """Return a query's text, beginning in a column. `named`: somebody sees its columns' names.

        `is_side`: of a set operation, which casts its columns where nobody has.
        """
        before = self._indent, self._cases
        self._indent, self._cases = indent, 0
        self._enter(node)
        self._levels[-1].is_side = is_side
        text = self._with(node) + self._body(node, columns, named) + self._tail(node)
        self._levels.pop()
        self._indent, self._cases = before
        return text

    def subquery(self, node: query.Query) -> str:
        """Return a query in parentheses."""
        return f"({self.whole(node, (), self._indent + STEP, named=False)})"

    def _with(self, node: query.Query) -> str:
        if not node.ctes:
            return ""
        self._indent += STEP
        parts = []
        for cte in node.ctes:
            if not isinstance(cte.statement, query.Query):
                raise unsupported("data-modifying statements in WITH have no text")
            if any(column.hidden for column in cte.columns):
                raise unsupported("SEARCH and CYCLE clauses are not supported in stored queries")
            made = {True: "MATERIALIZED ", False: "NOT MATERIALIZED ", None: ""}[cte.materialized]
            names = [column.name for column in cte.columns]
            listed = names != [target.name for target in visible(cte.statement)]
            head = quote_identifier(cte.name) + (_listed(names) if listed else "")
            body = self.whole(cte.statement, (), self._indent)
            parts.append(f"{head} AS {made}({self._line('', 0)}{body}{self._line(')', 0)}")
        self._indent -= STEP
        word = " WITH RECURSIVE " if any(cte.recursive for cte in node.ctes) else " WITH "
        return word + ", ".join(parts) + self._line("", 0)

    def _body(self, node: query.Query, columns: Sequence[str], named: bool) -> str:
        if node.set_operation is not None:
            return self._set_operation(node.set_operation, columns, named)
        if _is_values(node):
            return " " + self._values(node.range_table[0])
        text = " SELECT" + self._distinct(node) + self._targets(node, columns, named)
        if node.from_items:
            text += self._line(" FROM ", 2) + self._from(node.from_items)
        if node.where is not None:
            text += self._line(f" WHERE {self._top(node.where)}", 1)
        if node.group_by or node.grouping_sets not in (None, [[]]):
            text += self._line(f" GROUP BY {self._group_by(node)}", 1)
        if node.having is not None:
            text += self._line(f"HAVING {self._top(node.having)}", 1)
        return text

    def _tail(self, node: query.Query) -> str:
        text = ""
        if node.order_by:
            keys = ", ".join(self._sort_key(key, node) for key in node.order_by)
            text += self._line(f" ORDER BY {keys}", 1)
        if node.offset is not None:
            text += self._line(f" OFFSET {self._count(node.offset)}", 0)
        if node.limit is not None:
            count = self._count(node.limit)
            if node.with_ties:
                text += self._line(f" FETCH FIRST {count} ROWS WITH TIES", 0)
            else:
                text += self._line(f" LIMIT {count}", 0)
        for entry, strength in node.row_marks:
            name = quote_identifier(self._levels[-1].names[entry])
            text += self._line(f" FOR {strength.upper()} OF {name}", 0)
        return text

    def _count(self, expression: bound.Expression) -> str:
        """Return an argument of LIMIT or OFFSET: a number, or an expression in parentheses."""
        if isinstance(expression, bound.Constant) and isinstance(expression.value, int):
            return str(expression.value)
        text = self._top(expression)
        return text if text.isdigit() or text.startswith("(") else f"({text})"

    def _distinct(self, node: query.Query) -> str:
        if node.distinct_on is None:
            return ""
        on = ", ".join(self._item(expression) for expression in node.distinct_on)
        return f" DISTINCT ON ({on})" if on else " DISTINCT"

    def _targets(self, node: query.Query, columns: Sequence[str], named: bool) -> str:
        parts = []
        targets = visible(node)
        for target, name in zip(targets, columns or [each.name for each in targets], strict=True):
            expression = target.expression
            own = "" if named else "?column?"
            if isinstance(expression, bound.ColumnRef):
                own = self._column_name(expression)
            text = self._relation_of_row(expression) or self._output(expression)
            parts.append(text if name == own else f"{text} AS {quote_identifier(name)}")
        text = parts[0] if parts else ""
        for part in parts[1:]:
            text += f",{part}" if part.startswith("\n") else f",{self._line(part, _LIST)}"
        return text if not text or text.startswith("\n") else f" {text}"

    def _output(self, expression: bound.Expression) -> str:
        if self._levels[-1].is_side:
            return self._top(expression)
        text = self.operand(expression)
        return pretty(text) if self._style.is_pretty else text

    def _set_operation(self, node: query.SetOperation, columns: Sequence[str], named: bool) -> str:
        inner = _plain_operation(node.left)
        if inner is None or (inner.operator, inner.all) == (node.operator, node.all):
            text = self._side(node.left, columns, named) + self._line("", 0)
        else:
            text = f"({self._nested(node.left, columns, named)}{self._line(') ', 0)}"
        text += node.operator.upper() + (" ALL" if node.all else "")
        if _plain_operation(node.right) is None:
            return text + self._line("", 0) + self._side(node.right, columns, False)
        return f"{text} ({self._nested(node.right, columns, False)}{self._line(')', 0)}"

    def _nested(self, node: query.Query, columns: Sequence[str], named: bool) -> str:
        """Return a set operation inside another one, further to the right."""
        self._indent += STEP
        text = self._line("", 0) + self._side(node, columns, named)
        self._indent -= STEP
        return text

    def _side(self, node: query.Query, columns: Sequence[str], named: bool) -> str:
        text = self.whole(node, columns, self._indent, named=named, is_side=True)
        is_simple = _plain_operation(node) is not None or not (
            node.ctes or node.order_by or node.limit or node.offset or node.row_marks
        )
        return text if is_simple else f"({text})"

    # ------------------------------------------------------------ FROM

    def _from(self, items: Iterable[query.FromItem]) -> str:
        return f",{self._line('', _LIST)}".join(map(self._from_item, items))

    def _from_item(self, item: query.FromItem) -> str:
        if isinstance(item, query.FromEntry):
            return self._entry(item.entry)
        left, right = self._from_item(item.left), self._from_item(item.right)
        if isinstance(item.right, query.FromJoin) and self._style.is_pretty:
            right = f"({right})"
        words = "JOIN" if item.kind == "inner" else f"{item.kind.upper()} JOIN"
        condition = " ON true"
        if item.condition is not None:
            text = self._top(item.condition)
            condition = f" ON {text if self._style.is_pretty else f'({text})'}"
        elif item.kind == "inner":
            words, condition = "CROSS JOIN", ""
        joined = f"{left}{self._line(f' {words} ', _JOIN)}{right}{condition}"
        return joined if self._style.is_pretty else f"({joined})"

    def _entry(self, number: int) -> str:
        level = self._levels[-1]
        entry, name = level.query.range_table[number], level.names[number]
        source, own = self._source(entry)
        has_list = level.columns[number] != self._own_columns(entry)
        shown = source if name == own and not has_list else f"{source} {quote_identifier(name)}"
        if isinstance(entry, query.FunctionEntry) and _is_defined(entry):
            kinds = (format_type(c.type_oid, c.typmod) for c in entry.columns)
            pairs = zip(level.columns[number], kinds, strict=True)
            return f"{shown}({', '.join(f'{quote_identifier(n)} {kind}' for n, kind in pairs)})"
        return shown + (_listed(level.columns[number]) if has_list else "")

    def _source(self, entry: query.Entry) -> tuple[str, str]:
        """Return what is read, and the name that it has without an alias."""
        table = relation_of(entry)
        match entry:
            case query.TableEntry() | query.SubqueryEntry() | query.VirtualEntry() if table:
                now = self._catalog.tables_by_oid[table.oid]
                return self._relation(now.schema, now.name), now.name
            case query.VirtualEntry():
                relation = entry.relation
                return self._relation(relation.schema, relation.name), relation.name
            case query.SubqueryEntry():
                lateral = "LATERAL " if entry.lateral else ""
                inner = self.whole(entry.query, (), self._indent + STEP)
                return f"{lateral}({inner})", ""
            case query.CteEntry():
                return quote_identifier(entry.name), entry.name
            case query.FunctionEntry():
                return self._functions(entry), ""
            case query.ValuesEntry():
                lateral = "LATERAL " if entry.lateral else ""
                return f"{lateral}( {self._values(entry)})", ""
            case _:
                raise AssertionError(entry)

    def _functions(self, entry: query.FunctionEntry) -> str:
        text = ", ".join(map(self.operand, entry.calls))
        if len(entry.calls) > 1:
            text = self._unnested(entry.calls) or f"ROWS FROM({', '.join(self._each(entry))})"
        if entry.ordinality:
            text += " WITH ORDINALITY"
        return ("LATERAL " if self._reads_others(entry) else "") + text

    def _each(self, entry: query.FunctionEntry) -> Iterator[str]:
        """Yield the calls of ROWS FROM, with the columns that are defined for one of them."""
        columns = iter(entry.columns)
        for call in entry.calls:
            function = call.function if isinstance(call, bound.Call) else None
            own = list(islice(columns, len(function.columns) or 1 if function else 1))
            if function is None or function.shape is None:
                yield self.operand(call)
                continue
            defined = ", ".join(
                f"{quote_identifier(c.name)} {format_type(c.type_oid, c.typmod)}" for c in own
            )
            yield f"{self.operand(call)} AS ({defined})"

    def _unnested(self, calls: Sequence[bound.Expression]) -> str:
        """Return unnest(a, b) for calls that are what it stands for."""
        arguments = [
            self.operand(call.arguments[0])
            for call in calls
            if isinstance(call, bound.Call) and call.function.name == "unnest"
        ]
        return f"UNNEST({', '.join(arguments)})" if len(arguments) == len(calls) else ""

    def _reads_others(self, entry: query.FunctionEntry) -> bool:
        """Tell whether functions read other members of their FROM: LATERAL is a noise word else."""
        from dsql.sql.walk import nodes

        return any(
            isinstance(node, bound.ColumnRef) and node.levels_up == depth
            for call in entry.calls
            for node, depth in nodes(call)
        )

    def _values(self, entry: query.Entry) -> str:
        assert isinstance(entry, query.ValuesEntry)
        if isinstance(entry.rows, query.ConstantRows):
            raise unsupported("a VALUES list of this length has no text")
        rows = []
        for row in entry.rows:
            if isinstance(row, bound.Alike):
                raise unsupported("a VALUES list of this length has no text")
            rows.append(f"({','.join(map(self._top, row))})")
        return f"VALUES {', '.join(rows)}"


def _listed(names: Iterable[str]) -> str:
    return f"({', '.join(map(quote_identifier, names))})"


def _plain_operation(node: query.Query) -> query.SetOperation | None:
    """Return a query's set operation, if there is nothing around it."""
    around = node.ctes or node.order_by or node.limit or node.offset or node.row_marks
    return None if around else node.set_operation


def _is_values(node: query.Query) -> bool:
    """Tell whether a query is a VALUES list and nothing else."""
    if len(node.range_table) != 1 or not isinstance(node.range_table[0], query.ValuesEntry):
        return False
    plain = node.range_table[0].alias == "*VALUES*" and node.where is None and not node.group_by
    return (
        plain
        and not node.aggregated
        and all(
            isinstance(target.expression, bound.ColumnRef)
            and (target.expression.entry, target.expression.column) == (0, number)
            for number, target in enumerate(visible(node))
        )
    )


def _is_defined(entry: query.FunctionEntry) -> bool:
    """Tell whether a function's columns have to be written because it returns any record."""
    (call, *others) = entry.calls
    if others:
        return False
    own = call.function.definition if isinstance(call, bound.Call) else None
    if own is not None:
        return own.return_type == oids.RECORD and not own.outputs
    if isinstance(call, bound.Call) and call.function.columns:
        return call.function.shape is not None
    return call.type_oid == oids.RECORD
