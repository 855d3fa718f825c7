"""Texts of the catalog follow what they name: they are written anew when it is renamed or moved.

PostgreSQL keeps OIDs in stored queries and expressions, and prints today's names. We keep text, so a text
that reads a relation (its `uses`) is bound once more as it was and printed with the names of after. (Where
an expression has a relation as a value, it has its OID: see `dsql.catalog.stored_text`.)
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from msgspec.structs import replace

from dsql.catalog.catalog import Catalog
from dsql.catalog.schema import (
    CheckConstraint,
    Column,
    Domain,
    Index,
    IndexColumn,
    SqlFunction,
    Statistics,
    Table,
    Use,
    UserType,
)
from dsql.catalog.store import CatalogWriter
from dsql.catalog.user_types import types_of
from dsql.functions.function import Function
from dsql.sql import bound
from dsql.sql.binder import ColumnExpression, bind_column_expression
from dsql.sql.domains import VALUE, row_of_value, value_in_capitals
from dsql.sql.expression_text import ExpressionPrinter
from dsql.sql.function_printing import kept_body
from dsql.sql.query_names import TextStyle
from dsql.sql.sql_functions import callee_of
from dsql.sql.views import view_text
from dsql.types.identifier import quote_identifier
from dsql.types.type import FormatSettings, Type

Named = Table | SqlFunction | Domain | UserType


def put_all(before: Catalog, changed: Iterable[Named], writer: CatalogWriter) -> None:
    """Write objects of a catalog whose names, schemas or columns' names are others now.

    Whatever text names them, their own included, is written with these names.
    """
    new = {each.oid: each for each in changed}
    after = _after(before, new)
    for each in new.values():
        writer.put_securable(each, before)
    _put_followers(before, after, new, writer)


def _after(before: Catalog, new: Mapping[int, Named]) -> Catalog:
    """Return a catalog with other values of some of its objects."""
    tables = {each.oid: each for each in new.values() if isinstance(each, Table)}
    after = before.with_tables(tables.get(table.oid, table) for table in before.tables.values())
    domains = {each.oid: each for each in new.values() if isinstance(each, Domain)}
    after = after.with_domains({**before.domains_by_oid, **domains}.values())
    enums = {each.oid: each for each in new.values() if isinstance(each, UserType)}
    after = after.with_user_types(enums.get(enum.oid, enum) for enum in before.user_types.values())
    for each in new.values():
        if isinstance(each, SqlFunction):
            after = after.with_function(each)
    return after


def _put_followers(
    before: Catalog, after: Catalog, changed: Collection[int], writer: CatalogWriter
) -> None:
    """Write what has texts that name something that has changed."""
    for table in after.tables.values():
        followed = _followed(table, changed, before, after)
        if followed is not table:
            writer.put_table(followed)
    for function in after.functions.values():
        defaults = _with_defaults(function, changed, before, after)
        if defaults is not function:
            writer.put_function(defaults)
    for domain in after.domains.values():
        texts = _with_texts(domain, changed, before, after)
        if texts is not domain:
            writer.put_domain(texts)


def _with_defaults(
    function: SqlFunction, changed: Collection[int], before: Catalog, after: Catalog
) -> SqlFunction:
    """Return a function with the texts of its body and of its parameters' defaults."""
    if function.form != "s" and _reads(function.uses, changed):
        old = before.functions[function.oid]
        function = replace(function, body=kept_body(old, before, after))
    if not any(_reads(parameter.uses, changed) for parameter in function.parameters):
        return function
    use = ColumnExpression("DEFAULT expressions")
    parameters = tuple(
        replace(one, default=_retold(one.default, None, use, [], before, after))
        if one.default is not None and _reads(one.uses, changed)
        else one
        for one in function.parameters
    )
    return replace(function, parameters=parameters)


def _with_texts(
    domain: Domain, changed: Collection[int], before: Catalog, after: Catalog
) -> Domain:
    """Return a domain with the texts of its default and its checks."""
    default, checks = domain.default, domain.checks
    if default is not None and _reads(domain.uses, changed):
        column = Column(domain.name, 1, domain.type_oid, domain.typmod)
        use = ColumnExpression("DEFAULT expressions", column)
        default = _retold(default, None, use, [], before, after)
    row, use = row_of_value(domain), ColumnExpression("check constraints")
    checks = tuple(
        replace(
            check,
            expression=value_in_capitals(
                _retold(check.expression, row, use, [VALUE], before, after)
            ),
        )
        if _reads(check.uses, changed)
        else check
        for check in checks
    )
    left = replace(domain, default=default, checks=checks)
    return domain if left == domain else left


def _retold(
    text: str,
    table: Table | None,
    use: ColumnExpression,
    names: list[str],
    before: Catalog,
    after: Catalog,
) -> str:
    """Return a stored expression as it was bound before, printed with the names of after."""
    bound_before = bind_column_expression(text, table, before, (), FormatSettings(), use=use)
    return _Renaming(names, after).text(bound_before)


def _followed(table: Table, changed: Collection[int], before: Catalog, after: Catalog) -> Table:
    """Return a relation of `after` with texts that have the names of `after`."""
    if table.kind in "vm" and (table.oid in changed or _reads(table.uses, changed)):
        text = view_text(table.oid, before, TextStyle(), after)
        table = replace(table, view_definition=text)
    if table.kind == "v":
        return table
    texts = _Texts(before.tables_by_oid[table.oid], table, changed, before, after)
    followed = replace(
        table,
        columns=tuple(map(texts.column, table.columns)),
        checks=tuple(map(texts.check, table.checks)),
        indexes=tuple(map(texts.index, table.indexes)),
        statistics=tuple(map(texts.statistics, table.statistics)),
    )
    return table if followed == table else followed


def _reads(uses: Iterable[Use], changed: Collection[int]) -> bool:
    return any(use.oid in changed for use in uses)


class _Texts:
    """The expressions of one table, bound as it was `before` and printed with its columns' new names."""

    def __init__(
        self, old: Table, new: Table, changed: Collection[int], before: Catalog, after: Catalog
    ) -> None:
        self._old = old
        self._names = [
            now.name for was, now in zip(old.columns, new.columns, strict=True) if not was.dropped
        ]
        self._changed = changed
        self._before = before
        self._after = after

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

    def statistics(self, statistics: Statistics) -> Statistics:
        """Return a statistics object with the texts of its expressions."""
        if not _reads(statistics.uses, self._changed):
            return statistics
        use = ColumnExpression("statistics expressions")
        texts = tuple(self._text(text, use) for text in statistics.expressions)
        return replace(statistics, expressions=texts)

    def _part(self, part: IndexColumn) -> IndexColumn:
        if part.expression is None:
            return part
        text = self._text(part.expression, ColumnExpression("index expressions"))
        return replace(part, expression=text)

    def _text(self, text: str, use: ColumnExpression) -> str:
        return _retold(text, self._old, use, self._names, self._before, self._after)


class _Renaming(ExpressionPrinter):
    """Prints expressions of one table with other names."""

    def __init__(self, names: list[str], after: Catalog) -> None:
        self._names = names
        self._after = after

    def function(self, function: Function) -> str:
        """Return the name of a function."""
        now = self._after.functions.get(function.oid)
        return super().function(function if now is None else callee_of(now, self._after))

    def domain(self, function: Function) -> str:
        """Return the name of a domain."""
        now = self._after.domains_by_oid[function.oid]
        return f"{quote_identifier(now.schema)}.{quote_identifier(now.name)}"

    def kind(self, type_oid: int) -> Type:
        """Return the type with an OID."""
        return types_of(self._after, ()).get(type_oid) or super().kind(type_oid)

    def column(self, node: bound.ColumnRef) -> str:
        """Return the text of a column."""
        return quote_identifier(self._names[node.column])
