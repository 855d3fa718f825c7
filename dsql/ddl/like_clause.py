"""LIKE in CREATE TABLE: what the new table takes over from another one.

Expressions are kept as text that names columns, and the columns have the same names in both tables.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from dsql.catalog.relations import expression_name
from dsql.catalog.schema import CheckConstraint, Index, IndexColumn, Table, Use
from dsql.catalog.store import CatalogWriter
from dsql.ddl.column import ColumnSource
from dsql.ddl.identity import copied_options
from dsql.ddl.naming import find_relation, missing_relation, unique_name
from dsql.ddl.result import UtilityContext
from dsql.errors import SqlError

_CONSTRAINTS, _DEFAULTS, _GENERATED, _IDENTITY, _INDEXES = 4, 8, 16, 32, 64  # bits of the node


@dataclass(frozen=True, slots=True)
class Like:
    """A table that another one is made like, with the options that INCLUDING has left."""

    source: Table
    options: int

    def columns(self, context: UtilityContext) -> Iterable[ColumnSource]:
        """Yield the columns as if they were written."""
        for column in self.source.live_columns:
            copied = ColumnSource(
                column.name,
                column.type_oid,
                column.typmod,
                column.not_null,
                domain=column.domain,
            )
            if self.options & (_GENERATED if column.generated else _DEFAULTS):
                copied.default_text, copied.default_uses = column.default, column.uses
                copied.generated = column.generated
            if self.options & _IDENTITY and column.identity:
                copied.identity = column.identity
                copied.sequence = copied_options(context, self.source, column)
            yield copied

    def constraints(self) -> tuple[CheckConstraint, ...]:
        """Return the CHECK constraints that are taken over."""
        return self.source.checks if self.options & _CONSTRAINTS else ()

    def indexes(self) -> tuple[Index, ...]:
        """Return the indexes that are taken over, keys included."""
        return self.source.indexes if self.options & _INDEXES else ()

    def uses(self, uses: Iterable[Use], table: Table) -> tuple[Use, ...]:
        """Return what a text reads that is now the new table's."""
        return tuple(
            Use(table.oid, self.number(use.column, table)) if use.oid == self.source.oid else use
            for use in uses
        )

    def number(self, number: int, table: Table) -> int:
        """Return the number that a column has in the new table; 0 stays."""
        if not number:
            return 0
        name = self.source.columns[number - 1].name
        return next(column.number for column in table.live_columns if column.name == name)


def read_like(clause: Any, context: UtilityContext) -> Like:
    """Return what a LIKE clause says. Raises SqlError 42P01, 42809."""
    source = find_relation(context, clause.relation)
    if source is None:
        raise missing_relation(clause.relation)
    if not isinstance(source, Table) or source.kind == "S":
        message = f'relation "{clause.relation.relname}" is invalid in LIKE clause'
        detail = "This operation is not supported for sequences."
        raise SqlError("42809", message, detail=detail)
    return Like(source, clause.options)


def with_copies(table: Table, like: Like, writer: CatalogWriter, taken: set[str]) -> Table:
    """Return the new table with all that is taken over but columns; names of indexes are its own.

    `taken` are the names of the schema's relations, to which those of the indexes are added.
    """
    checks = [
        replace(check, oid=writer.allocate_oid(), uses=like.uses(check.uses, table))
        for check in like.constraints()
    ]
    table = replace(table, checks=(*table.checks, *checks))
    for index in like.indexes():
        table = replace(table, indexes=(*table.indexes, _copied(index, table, like, writer, taken)))
    columns = [replace(column, uses=like.uses(column.uses, table)) for column in table.columns]
    return table.with_columns(columns)


def _copied(
    index: Index, table: Table, like: Like, writer: CatalogWriter, taken: set[str]
) -> Index:
    parts = tuple(
        replace(part, column_number=like.number(part.column_number, table))
        for part in index.columns
    )
    label = "pkey" if index.primary else "key" if index.constraint else "idx"
    middle = "" if index.primary else "_".join(_part_name(part, table) for part in parts)
    name = unique_name(table.name, middle, label, taken)
    taken.add(name)
    writer.claim_name(table.schema, name)
    return replace(
        index,
        oid=writer.allocate_oid(),
        name=name,
        columns=parts,
        valid=True,
        include=tuple(like.number(number, table) for number in index.include),
        constraint=name if index.constraint else None,
        constraint_oid=writer.allocate_oid() if index.constraint else 0,
        keyspace=0,
        uses=like.uses(index.uses, table),
    )


def _part_name(part: IndexColumn, table: Table) -> str:
    if part.column_number:
        return table.columns[part.column_number - 1].name
    return expression_name(part.expression)
