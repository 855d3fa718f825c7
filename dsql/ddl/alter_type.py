"""ALTER TABLE ... ALTER COLUMN TYPE (postgres profile).

Where the rows stay as they are, only the catalog changes. Else they are copied, by a job when the
transaction has committed (`dsql.ddl.rewriting`).
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from dsql.catalog.catalog import Catalog
from dsql.catalog.dependencies import PG_CLASS, PG_REWRITE, Address, default_address, dependencies
from dsql.catalog.descriptions import description
from dsql.catalog.foreign_keys import Reference, referring
from dsql.catalog.schema import Column, Index, Table
from dsql.ddl.alteration import Alteration
from dsql.ddl.foreign_keys import check_types
from dsql.ddl.identity import retype_identity
from dsql.ddl.naming import changeable_column
from dsql.ddl.table_limits import check_key_type
from dsql.errors import SqlError, unsupported
from dsql.types import oids
from dsql.types.identifier import quote_identifier
from dsql.types.typmod import format_type

_INTEGERS = (oids.INT2, oids.INT4, oids.INT8)  # each holds those before it
_STRINGS = (oids.TEXT, oids.VARCHAR)


def alter_type(alteration: Alteration, table: Table, command: Any) -> Table:
    """ALTER COLUMN name TYPE type [USING expression]. Raises SqlError 42804, 0A000 and more."""
    definition = getattr(command, "def").column_def
    column = changeable_column(table, command.name)
    if column.generated and definition.HasField("raw_default"):
        message = "cannot specify USING when altering type of generated column"
        raise SqlError("42611", message, detail=f'Column "{column.name}" is a generated column.')
    type_oid, typmod = alteration.expressions.column_type(definition.type_name)
    if column.identity and type_oid not in _INTEGERS:
        raise SqlError("22023", "identity column type must be smallint, integer, or bigint")
    refuse_rows_elsewhere(alteration.context.catalog, table)
    _refuse_dependents(alteration, table, column)
    domain = alteration.expressions.column_domain(definition.type_name)
    if domain not in (0, column.domain):
        raise unsupported("ALTER COLUMN TYPE to a domain is not supported")
    typed = replace(column, type_oid=type_oid, typmod=typmod, domain=domain)
    using = _conversion(alteration, table, column, typed, definition)
    if typed.default is not None and not typed.generated:
        typed = alteration.expressions.converted_default(column, typed)
    changed = _with_types(table.with_columns([typed]), typed, alteration.context.profile)
    changed = alteration.expressions.bound_anew(changed, column.number)
    _check_references(alteration, changed)
    if column.identity and type_oid != column.type_oid:
        retype_identity(alteration, changed, typed)
    if using or not _keeps_rows(table, column, typed):
        alteration.rewrite(column.number, using)
    elif typed.missing is not None and type_oid != column.type_oid:
        assert {type_oid, column.type_oid} <= {*_INTEGERS, *_STRINGS}, "stored alike"
    return changed


def _conversion(
    alteration: Alteration, table: Table, column: Column, typed: Column, definition: Any
) -> str:
    """Return the text of USING, "" for none; see to it that the values become the new type's."""
    shown = format_type(typed.type_oid, typed.typmod)
    if definition.HasField("raw_default"):
        text = alteration.expressions.conversion(table, typed, definition.raw_default)
        if text is None:
            raise SqlError(
                "42804",
                f'result of USING clause for column "{column.name}" '
                f"cannot be cast automatically to type {shown}",
                hint="You might need to add an explicit cast.",
            )
        name = quote_identifier(column.name)
        is_itself = text in (name, f"({name})::{shown}")  # many tools say so
        return "" if is_itself and _keeps_rows(table, column, typed) else text
    if not alteration.expressions.can_assign(column, typed):
        name = quote_identifier(column.name)
        raise SqlError(
            "42804",
            f'column "{column.name}" cannot be cast automatically to type {shown}',
            hint="" if column.generated else f'You might need to specify "USING {name}::{shown}".',
        )
    return ""


def refuse_rows_elsewhere(catalog: Catalog, table: Table) -> None:
    """Raise SqlError 0A000 if columns have values of the table's row type, which nothing rewrites."""
    for other in catalog.tables.values():
        for column in other.live_columns if other.has_rows else ():
            if column.type_oid == table.row_type_oid and table.row_type_oid:
                raise SqlError(
                    "0A000",
                    f'cannot alter table "{table.name}" because column'
                    f' "{other.name}.{column.name}" uses its row type',
                )


def _refuse_dependents(alteration: Alteration, table: Table, column: Column) -> None:
    """Raise SqlError 0A000 if a view or a generated column reads a column."""
    context = alteration.context
    address = Address(PG_CLASS, table.oid, column.number)
    generated = {
        default_address(table, other.number): other.name
        for other in table.live_columns
        if other.generated and other.number != column.number
    }
    for edge in dependencies(context.catalog):
        if edge.on != address:
            continue
        if edge.dependent.class_oid == PG_REWRITE:
            rule = description(edge.dependent, context.catalog, context.search_path)
            raise SqlError(
                "0A000",
                "cannot alter type of a column used by a view or rule",
                detail=f'{rule} depends on column "{column.name}"',
            )
        if edge.dependent in generated:
            name = generated[edge.dependent]
            raise SqlError(
                "0A000",
                "cannot alter type of a column used by a generated column",
                detail=f'Column "{column.name}" is used by generated column "{name}".',
            )


def _with_types(table: Table, typed: Column, profile: str) -> Table:
    """Return the table with a changed column's type in its indexes."""

    def part_typed(index: Index) -> Index:
        parts = []
        for part in index.columns:
            if part.column_number == typed.number:
                check_key_type(typed.type_oid, profile)
                part = replace(part, type_oid=typed.type_oid)
            parts.append(part)
        return replace(index, columns=tuple(parts))

    return replace(table, indexes=tuple(map(part_typed, table.indexes)))


def _check_references(alteration: Alteration, table: Table) -> None:
    """Raise SqlError 42804 if a foreign key's types do not fit each other any more."""
    catalog = alteration.context.catalog
    own = [
        Reference(
            key,
            table,
            table if key.table_oid == table.oid else catalog.tables_by_oid[key.table_oid],
        )
        for key in table.foreign_keys
    ]
    others = [
        Reference(reference.key, reference.child, table)
        for reference in referring(table, catalog)
        if reference.child.oid != table.oid
    ]
    for key, child, parent in (*own, *others):
        for number, other in zip(key.columns, key.referenced, strict=True):
            check_types(key, child.columns[number - 1], parent.columns[other - 1])


def _keeps_rows(table: Table, before: Column, after: Column) -> bool:
    """Tell whether stored rows, and keys made of them, are as good for the new type."""
    if before.type_oid == after.type_oid and after.typmod in (-1, before.typmod):
        return True
    if before.type_oid in _STRINGS and after.type_oid in _STRINGS:
        return after.typmod == -1 or 0 <= before.typmod <= after.typmod
    if any(part.column_number == before.number for i in table.indexes for part in i.columns):
        return False
    if before.type_oid in _INTEGERS and after.type_oid in _INTEGERS:
        return _INTEGERS.index(before.type_oid) < _INTEGERS.index(after.type_oid)
    return False
