"""Columns that count by themselves: GENERATED ... AS IDENTITY, and serial.

Either has a sequence of its own, which comes and goes with it. An identity column is bound to it; that of
a serial one is named by an ordinary default, and may be used by others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from dsql.catalog.schema import Column, Schema, Table, Use
from dsql.catalog.store import CatalogWriter
from dsql.ddl import nodes
from dsql.ddl.alteration import Alteration
from dsql.ddl.column import ColumnSource
from dsql.ddl.naming import changeable_column, require_schema, taken_names, unique_name
from dsql.ddl.removal import forget_rows
from dsql.ddl.result import UtilityContext
from dsql.ddl.sequence_options import Written, new_sequence, read_options
from dsql.ddl.sequences import make_sequence, with_options
from dsql.errors import SqlError, unsupported
from dsql.sql.refusals_ddl import check_identity
from dsql.types import oids, registry

_SERIAL = {
    "smallserial": oids.INT2,
    "serial2": oids.INT2,
    "serial": oids.INT4,
    "serial4": oids.INT4,
    "bigserial": oids.INT8,
    "serial8": oids.INT8,
}


# ---------------------------------------------------------------- as written


def serial_type(type_name: Any) -> int | None:
    """Return the type of a column that is declared as serial or its kin, None for other types."""
    names = nodes.strings(type_name.names)
    found = _SERIAL.get(names[0]) if len(names) == 1 else None
    if found is not None and type_name.array_bounds:
        raise unsupported("array of serial is not implemented")
    return found


def read_identity(
    source: ColumnSource, constraint: Any, table: str, position: Callable[[int], int]
) -> None:
    """Take an identity clause into a column. Raises SqlError 42601."""
    at = position(constraint.location)
    if source.identity:
        shown = f'column "{source.name}" of table "{table}"'
        raise SqlError("42601", f"multiple identity specifications for {shown}", position=at)
    if source.sequence is not None:
        raise _both("default and identity", source, table, at)
    source.identity = constraint.generated_when
    source.sequence = read_options(constraint.options, position)


def check_counting(source: ColumnSource, table: str, *, says_null: bool) -> None:
    """Check what else is said of a column that counts. Raises SqlError 42601, 22023."""
    if source.sequence is None:
        return
    of_table = f'column "{source.name}" of table "{table}"'
    if source.default is not None and not source.identity:
        raise SqlError("42601", f"multiple default values specified for {of_table}")
    if source.default is not None:
        both = "identity and generation expression" if source.generated else "default and identity"
        raise _both(both, source, table)
    if says_null:
        raise SqlError("42601", f"conflicting NULL/NOT NULL declarations for {of_table}")
    source.not_null = True


def _both(words: str, source: ColumnSource, table: str, position: int = 0) -> SqlError:
    message = f'both {words} specified for column "{source.name}" of table "{table}"'
    return SqlError("42601", message, position=position)


# ---------------------------------------------------------------- made


def make_column_sequence(
    context: UtilityContext,
    writer: CatalogWriter,
    schema: Schema,
    table: str,
    source: ColumnSource,
    owner: tuple[int, int],
    *,
    taken: set[str],
    owner_oid: int = 0,
) -> Table:
    """Write and return the sequence of a column; `owner` is the column's table OID and number.

    `taken` are the names of the schema's relations, to which the sequence's is added. Raises SqlError
    22023, 42601, 42P07, 3F000, 54000.
    """
    written = dict(source.sequence or {})
    schema, name = _place(written, context, schema, taken, (table, source.name))
    if "as" in written:
        raise SqlError("42601", "conflicting or redundant options")
    written["as"] = source.type_oid
    written.pop("owned_by", None)
    options, first = new_sequence(written, for_identity=bool(source.identity))
    options = replace(options, owner=owner, is_identity=bool(source.identity))
    return make_sequence(context, writer, schema, name, options, first, owner_oid=owner_oid)


def _place(
    written: Written,
    context: UtilityContext,
    schema: Schema,
    taken: set[str],
    column: tuple[str, str],
) -> tuple[Schema, str]:
    """Return where the sequence of a (table, column) goes: pg_dump says it, as SEQUENCE NAME."""
    names = written.pop("sequence_name", None)
    if names is None:
        name = unique_name(*column, "seq", taken)
    else:
        name = names[-1]
        if len(names) > 1:
            schema = require_schema(context, names[-2])
            taken = taken_names(context, schema.name)
        if name in taken:
            raise SqlError("42P07", f'relation "{name}" already exists')
    taken.add(name)
    return schema, name


def counting_column(column: Column, source: ColumnSource, sequence: Table) -> Column:
    """Return a column that takes its values from its sequence."""
    if source.identity:
        return replace(column, identity=source.identity, not_null=True)
    default = f"nextval('{sequence.oid}'::regclass)"
    return replace(column, default=default, uses=(Use(sequence.oid),), not_null=True)


def copied_options(context: UtilityContext, table: Table, column: Column) -> Written:
    """Return the options of an identity column, for LIKE ... INCLUDING IDENTITY."""
    of = context.catalog.identity_sequence(table.oid, column.number).sequence
    assert of is not None, "a sequence"
    return {
        "start": of.start,
        "increment": of.increment,
        "minvalue": of.minimum,
        "maxvalue": of.maximum,
        "cache": of.cache,
        "cycle": of.cycle,
    }


# ---------------------------------------------------------------- ALTER TABLE ... ALTER COLUMN


def add_identity(alteration: Alteration, table: Table, command: Any) -> Table:
    """Return a table one of whose columns counts from now on. Raises SqlError 42703, 55000, 0A000, ..."""
    context, column = alteration.context, changeable_column(table, command.name)
    constraint = getattr(command, "def").constraint
    if context.profile == "dsql":
        check_identity(registry.get(column.type_oid).sql_name, constraint.options)
    source = ColumnSource(column.name, column.type_oid, column.typmod)
    read_identity(source, constraint, table.name, alteration.expressions.position)
    sequence = added_sequence(alteration, table, column, source)
    _check_addable(table, column)  # after what is wrong with the sequence, as PostgreSQL has it
    return table.with_columns([counting_column(column, source, sequence)])


def added_sequence(
    alteration: Alteration, table: Table, column: Column, source: ColumnSource
) -> Table:
    """Write and return the sequence of a column of a table that is there already."""
    sequence = make_column_sequence(
        alteration.context,
        alteration.writer,
        alteration.catalog.schemas[table.schema],
        table.name,
        source,
        (table.oid, column.number),
        taken=taken_names(alteration.context, table.schema),
        owner_oid=table.owner_oid,
    )
    alteration.put_sequence(sequence)
    return sequence


def _check_addable(table: Table, column: Column) -> None:
    shown = f'column "{column.name}" of relation "{table.name}"'
    if not column.not_null:
        message = f"{shown} must be declared NOT NULL before identity can be added"
        raise SqlError("55000", message)
    if column.identity:
        raise SqlError("55000", f"{shown} is already an identity column")
    if column.default is not None:
        raise SqlError("55000", f"{shown} already has a default value")


def set_identity(alteration: Alteration, table: Table, command: Any) -> Table:
    """Return a table whose identity column counts otherwise. Raises SqlError 42703, 55000, 22023, 42601."""
    column = changeable_column(table, command.name)
    if not column.identity:
        raise _no_identity(table, column)
    items = getattr(command, "def").list.items
    written = read_options(items, alteration.expressions.position)
    generated = written.pop("generated", None)
    if written:
        _put_options(alteration, table, column, written)
    if generated is not None:
        column = replace(column, identity=chr(generated))
    return table.with_columns([column])


def retype_identity(alteration: Alteration, table: Table, column: Column) -> None:
    """Have the sequence of an identity column count in the column's type. Raises SqlError 22023."""
    _put_options(alteration, table, column, {"as": column.type_oid})


def _put_options(alteration: Alteration, table: Table, column: Column, written: Written) -> None:
    sequence = alteration.catalog.identity_sequence(table.oid, column.number)
    alteration.put_sequence(with_options(sequence, written, alteration.context, alteration.writer))


def drop_identity(alteration: Alteration, table: Table, command: Any) -> Table:
    """Return a table whose column does not count any more. Raises SqlError 42703, 55000."""
    column = changeable_column(table, command.name)
    if not column.identity:
        error = _no_identity(table, column)
        if not command.missing_ok:
            raise error
        alteration.result.notice("00000", f"{error.message}, skipping")
        return table
    sequence = alteration.catalog.identity_sequence(table.oid, column.number)
    alteration.writer.drop_table(sequence)
    forget_rows(alteration.context.transaction, [sequence.keyspace_id])
    return table.with_columns([replace(column, identity="")])


def _no_identity(table: Table, column: Column) -> SqlError:
    message = f'column "{column.name}" of relation "{table.name}" is not an identity column'
    return SqlError("55000", message)
