"""How much a table may have of what, and which types its keys may be made of."""

from __future__ import annotations

from collections.abc import Sequence

from dsql.catalog.opclasses import has_default
from dsql.catalog.schema import SYSTEM_COLUMN_NUMBERS
from dsql.encoding.keycode import has_encoding
from dsql.errors import SqlError, unsupported
from dsql.limits import COLUMNS_PER_TABLE_MAX, INDEXES_PER_TABLE_MAX
from dsql.sql.refusals import DSQL
from dsql.sql.refusals_ddl import check_key_count
from dsql.types import registry


def check_column_count(columns: int, *, keyed: bool) -> None:
    """Raise SqlError 54011 if a table has too many columns. `keyed`: it has a primary key.

    The index of a primary key includes all columns, so it is this that has no place for them.
    """
    if columns > COLUMNS_PER_TABLE_MAX:
        message = f"tables can have at most {COLUMNS_PER_TABLE_MAX - 1} columns"
        if keyed:
            message = f"cannot use more than {COLUMNS_PER_TABLE_MAX} columns in an index"
        raise SqlError("54011", message)


def check_index_count(indexes: int) -> None:
    """Raise SqlError 54000 if a table has too many indexes."""
    if indexes > INDEXES_PER_TABLE_MAX:
        raise SqlError(
            "54000", f"more than {INDEXES_PER_TABLE_MAX} indexes per table are not allowed"
        )


def check_key_type(type_oid: int, profile: str) -> None:
    """Raise SqlError for a type that no key can have: 0A000, or 42704 if nothing orders its values."""
    key_type = registry.get(type_oid)
    if profile != DSQL and not has_default(type_oid):
        name = key_type.sql_name
        raise SqlError(
            "42704",
            f'data type {name} has no default operator class for access method "btree"',
            hint="You must specify an operator class for the index or define a default operator class"
            " for the data type.",
        )
    allowed = key_type.key_allowed if profile == DSQL else has_encoding(type_oid)
    if not allowed:
        raise unsupported(f"datatype {key_type.sql_name} is not supported in a key")


def check_key(columns: Sequence[tuple[str, int]], profile: str, *, primary: bool) -> None:
    """Raise SqlError if these columns, (name, type OID) each, cannot be a PRIMARY KEY or UNIQUE constraint.

    54011: they are too many; 0A000: one has a type that no key can have; 42701: one is there twice.
    """
    check_key_count(len(columns), lenient=profile != DSQL)
    for column in columns:
        name, type_oid = column
        check_key_type(type_oid, profile)
        if columns.count(column) > 1:
            constraint = "primary key" if primary else "unique"
            raise SqlError("42701", f'column "{name}" appears twice in {constraint} constraint')


def no_key_column(name: str, *, primary: bool) -> SqlError:
    """Return the error of a key with a column that the table does not have, or has by itself."""
    if name in SYSTEM_COLUMN_NUMBERS and primary:
        return SqlError("0A000", f'cannot alter system column "{name}"')
    if name in SYSTEM_COLUMN_NUMBERS:
        return SqlError("0A000", "index creation on system columns is not supported")
    return SqlError("42703", f'column "{name}" named in key does not exist')
