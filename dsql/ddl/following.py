"""Texts of the catalog follow what they name: they are written anew when it is renamed or moved.

PostgreSQL keeps OIDs in stored queries and expressions, and prints today's names. We keep text, so a text
that reads a relation (its `uses`) is bound once more as it was and printed with the names of after. (Where
an expression has a relation as a value, it has its OID: see `dsql.catalog.stored_text`.)
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from msgspec.structs import replace

from dsql.catalog.catalog import Catalog
from dsql.catalog.schema import CheckConstraint, Column, Index, IndexColumn, Table, Use
from dsql.catalog.store import CatalogWriter
from dsql.sql import bound
from dsql.sql.binder import ColumnExpression, bind_column_expression
from dsql.sql.expression_text import ExpressionPrinter
from dsql.sql.query_names import TextStyle
from dsql.sql.views import view_text
from dsql.types.identifier import quote_identifier
from dsql.types.type import FormatSettings


def put_all(before: Catalog, changed: Iterable[Table], writer: CatalogWriter) -> None:
    """Write relations of a catalog whose names, schemas or columns' names are others now.

    Whatever text reads them, their own included, is written with these names.
    """
    new = {table.oid: table for table in changed}
    after = before.with_tables(new.get(table.oid, table) for table in before.tables.values())
    for table in after.tables.values():
        followed = _followed(table, new, before, after)
        if followed is not table or table.oid in new:
            writer.put_table(followed)


def _followed(table: Table, changed: Collection[int], before: Catalog, after: Catalog) -> Table:
    """Return a relation of `after` with texts that have the names of `after`."""
    if table.kind == "v":
        if table.oid not in changed and not _reads(table.uses, changed):
            return table
        return replace(table, view_definition=view_text(table.oid, before, TextStyle(), after))
    texts = _Texts(before.tables_by_oid[table.oid], table, changed, before)
    followed = replace(
        table,
        columns=tuple(map(texts.column, table.columns)),
        checks=tuple(map(texts.check, table.checks)),
        indexes=tuple(map(texts.index, table.indexes)),
    )
    return table if followed == table else followed


def _reads(uses: Iterable[Use], changed: Collection[int]) -> bool:
    return any(use.oid in changed for use in uses)


class _Texts:
    """The expressions of one table, bound as it was `before` and printed with its columns' new names."""

    def __init__(self, old: Table, new: Table, changed: Collection[int], before: Catalog) -> None:
        self._old = old
        self._names = [
            now.name for was, now in zip(old.columns, new.columns, strict=True) if not was.dropped
        ]
        self._changed = changed
        self._before = before

    def column(self, column: Column) -> Column:
        """Return a column with its default's text."""
        default = column.default
        if default is None or not _reads(column.uses, self._changed):
            return column
        what = "column generation expressions" if column.generated else "DEFAULT expressions"
        return replace(column, default=self._text(default, ColumnExpression(what, column)))

    def check(self, check: CheckConstraint) -> CheckConstraint:
        """Return a constraint with its text."""
        if not _reads(check.uses, self._changed):
            return check
        text = self._text(check.expression, ColumnExpression("check constraints"))
        return replace(check, expression=text)

    def index(self, index: Index) -> Index:
        """Return an index with the texts of its keys and its predicate."""
        if not _reads(index.uses, self._changed):
            return index
        use = ColumnExpression("index predicates")
        predicate = index.predicate and self._text(index.predicate, use)
        return replace(index, columns=tuple(map(self._part, index.columns)), predicate=predicate)

    def _part(self, part: IndexColumn) -> IndexColumn:
        if part.expression is None:
            return part
        text = self._text(part.expression, ColumnExpression("index expressions"))
        return replace(part, expression=text)

    def _text(self, text: str, use: ColumnExpression) -> str:
        expression = bind_column_expression(
            text, self._old, self._before, (), FormatSettings(), use=use
        )
        return _Renaming(self._names).text(expression)


class _Renaming(ExpressionPrinter):
    """Prints expressions of one table with other names."""

    def __init__(self, names: list[str]) -> None:
        self._names = names

    def column(self, node: bound.ColumnRef) -> str:
        """Return the text of a column."""
        return quote_identifier(self._names[node.column])
