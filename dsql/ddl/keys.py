"""ALTER TABLE ... ADD PRIMARY KEY or UNIQUE on a table that may have rows (postgres profile)."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from dsql.catalog.schema import Column, Index, IndexColumn, Table
from dsql.catalog.store import CatalogWriter
from dsql.ddl import nodes
from dsql.ddl.indexes import add_index
from dsql.ddl.naming import find_column, taken_names, unique_name
from dsql.ddl.rebuild import duplicated
from dsql.ddl.result import UtilityContext
from dsql.ddl.table_limits import check_key, no_key_column
from dsql.ddl.temporary_tables import build_index
from dsql.errors import SqlError, unsupported
from dsql.executor.violations import value_text


def add_key(table: Table, constraint: Any, context: UtilityContext, writer: CatalogWriter) -> Table:
    """Add a PRIMARY KEY, for which the rows have to be replaced, or a UNIQUE constraint.

    The latter's build runs when the transaction has committed.
    """
    primary = nodes.enum_name(constraint, "contype") == "CONSTR_PRIMARY"
    if primary and table.primary_key is not None:
        raise SqlError("42P16", f'multiple primary keys for table "{table.name}" are not allowed')
    if constraint.indexname:
        raise unsupported("ADD PRIMARY KEY USING INDEX is not supported")
    columns = [_key_column(table, name, primary) for name in nodes.strings(constraint.keys)]
    index = _index(table, constraint, columns, primary, context)
    if table.is_temporary and not primary:
        index = replace(index, constraint=index.name, constraint_oid=writer.allocate_oid())
        return build_index(index, table, context, writer)
    if not primary:
        index = replace(index, constraint=index.name, constraint_oid=writer.allocate_oid())
        job = add_index(index, table, context, synchronous=True)
        return replace(
            table, indexes=(*table.indexes, replace(index, oid=job.object_oid, valid=False))
        )
    return _add_primary_key(table, index, columns, writer)


def refuse_duplicates(table: Table, index: Index, context: UtilityContext) -> None:
    """Raise SqlError 23505 if two rows, as the statement's snapshot has them, have one new unique key."""
    columns = [table.columns[part.column_number - 1] for part in index.columns]
    found = duplicated(table, columns, context, nulls=index.nulls_not_distinct)
    if found is not None:
        texts = [
            value_text(column.type_oid, value, context.settings)
            for column, value in zip(columns, found, strict=True)
        ]
        names = ", ".join(column.name for column in columns)
        raise SqlError(
            "23505",
            f'could not create unique index "{index.name}"',
            detail=f"Key ({names})=({', '.join(texts)}) is duplicated.",
            schema=table.schema,
            table=table.name,
            constraint=index.name,
        )


def _add_primary_key(
    table: Table, index: Index, columns: list[Column], writer: CatalogWriter
) -> Table:
    writer.claim_name(table.schema, index.name)
    index = replace(
        index,
        oid=writer.allocate_oid(),
        constraint=index.name,
        constraint_oid=writer.allocate_oid(),
    )
    keyed = table.with_columns([replace(column, not_null=True) for column in columns])
    return replace(keyed, indexes=(index, *table.indexes))


def _index(
    table: Table, constraint: Any, columns: list[Column], primary: bool, context: UtilityContext
) -> Index:
    taken = taken_names(context, table.schema)
    stored = context.catalog.tables_by_oid[table.oid]  # it may have an index still that was dropped
    taken = taken.difference(index.name for index in stored.indexes)
    taken = taken.union(index.name for index in table.indexes)
    include = [_key_column(table, name, primary) for name in nodes.strings(constraint.including)]
    middle = "" if primary else "_".join(column.name for column in (*columns, *include))
    name = constraint.conname or unique_name(
        table.name, middle, "pkey" if primary else "key", taken
    )
    if name in taken:
        raise SqlError("42P07", f'relation "{name}" already exists')
    parts = [(column.name, column.type_oid) for column in columns]
    check_key(parts, context.profile, primary=primary)
    return Index(
        oid=0,
        name=name,
        columns=tuple(IndexColumn(column.number, type_oid=column.type_oid) for column in columns),
        unique=True,
        primary=primary,
        nulls_not_distinct=constraint.nulls_not_distinct,
        include=tuple(column.number for column in include),
    )


def _key_column(table: Table, name: str, primary: bool) -> Column:
    found = find_column(table, name)
    if found is None:
        raise no_key_column(name, primary=primary)
    return found
