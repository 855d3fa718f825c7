"""What a row may violate, with PostgreSQL's words."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from dsql.access.privileges import Privilege
from dsql.catalog.foreign_keys import Reference
from dsql.catalog.schema import Index, Table
from dsql.encoding.keyspace import PREFIX_BYTES
from dsql.errors import SqlError
from dsql.executor.program import ExecutionContext
from dsql.executor.stored import load
from dsql.limits import KEY_BYTES_MAX, ROW_BYTES_MAX, VALUE_BYTES_MAX
from dsql.types import registry
from dsql.types.type import FormatSettings

_SHOWN_MAX = 64  # bytes of a value in "Failing row contains", as ExecBuildSlotValueDescription
LONGEST_KEY = KEY_BYTES_MAX + PREFIX_BYTES


def value_text(type_oid: int, value: Any, settings: FormatSettings) -> str:
    """Return a runtime value as text, "null" for NULL."""
    if value is None:
        return "null"
    return registry.get(type_oid).text_encoder(settings)(value).decode()


def failing_row(
    table: Table, written: Collection[int], row: Sequence[Any], context: ExecutionContext
) -> str:
    """Return the DETAIL of a violated NOT NULL or CHECK; `row` holds stored values.

    It shows the columns that the user may read or has `written`, and names them unless he may read all.
    """
    columns = [
        column
        for column in table.live_columns
        if column.number in written or _is_open(table, column.number, context)
    ]
    texts = []
    for column in columns:
        stored = row[column.number - 1] if column.number <= len(row) else column.missing
        text = value_text(column.type_oid, load(column.type_oid, stored), context.settings)
        if len(text.encode()) > _SHOWN_MAX:
            text = text.encode()[:_SHOWN_MAX].decode(errors="ignore") + "..."
        texts.append(text)
    if not columns:
        return ""
    names = ""
    if not _is_open(table, 0, context):
        names = f"({', '.join(column.name for column in columns)}) = "
    return f"Failing row contains {names}({', '.join(texts)})."


def _is_open(table: Table, number: int, context: ExecutionContext) -> bool:
    """Tell whether the user may read a column; number 0, an expression's: the whole table."""
    authority = context.authority
    if authority is None or authority.holds_on_relation(table, Privilege.SELECT):
        return True
    return number > 0 and authority.holds_on_column(table, number, Privilege.SELECT)


def not_null_violation(
    table: Table,
    written: Collection[int],
    number: int,
    row: Sequence[Any],
    context: ExecutionContext,
) -> SqlError:
    """Return the error of a NULL in a NOT NULL column."""
    column = table.columns[number - 1].name
    return SqlError(
        "23502",
        f'null value in column "{column}" of relation "{table.name}" violates not-null constraint',
        detail=failing_row(table, written, row, context),
        schema=table.schema,
        table=table.name,
        column=column,
    )


def check_violation(
    table: Table,
    written: Collection[int],
    name: str,
    row: Sequence[Any],
    context: ExecutionContext,
) -> SqlError:
    """Return the error of a CHECK constraint that is false."""
    return SqlError(
        "23514",
        f'new row for relation "{table.name}" violates check constraint "{name}"',
        detail=failing_row(table, written, row, context),
        schema=table.schema,
        table=table.name,
        constraint=name,
    )


def view_check_violation(
    table: Table,
    written: Collection[int],
    view: str,
    row: Sequence[Any],
    context: ExecutionContext,
) -> SqlError:
    """Return the error of a new row that a view WITH CHECK OPTION would not show."""
    return SqlError(
        "44000",
        f'new row violates check option for view "{view}"',
        detail=failing_row(table, written, row, context),
    )


def unique_violation(
    table: Table, index: Index, values: Sequence[Any], context: ExecutionContext
) -> SqlError:
    """Return the error of a duplicate key; `values` are the runtime values of the key's parts."""
    names, texts, settings = [], [], context.settings
    shown = all(_is_open(table, part.column_number, context) for part in index.columns)
    for part, value in zip(index.columns, values, strict=True):
        if part.column_number:
            column = table.columns[part.column_number - 1]
            names.append(column.name)
            texts.append(value_text(column.type_oid, value, settings))
        else:
            names.append(part.expression or "")
            texts.append(value_text(part.type_oid, value, settings))
    return SqlError(
        "23505",
        f'duplicate key value violates unique constraint "{index.constraint or index.name}"',
        detail=f"Key ({', '.join(names)})=({', '.join(texts)}) already exists." if shown else "",
        schema=table.schema,
        table=table.name,
        constraint=index.constraint or index.name,
    )


def orphan(
    reference: Reference, values: Sequence[Any], settings: FormatSettings, *, is_shown: bool
) -> SqlError:
    """Return the error of a foreign key's (runtime) values that nothing has; `is_shown`: tell which."""
    key, child, parent = reference
    if None in values:
        detail = "MATCH FULL does not allow mixing of null and nonnull key values."
    else:
        shown = _key(child, key.columns, values, settings) if is_shown else "Key"
        detail = f'{shown} is not present in table "{parent.name}".'
    message = (
        f'insert or update on table "{child.name}" violates foreign key constraint "{key.name}"'
    )
    return _foreign_key_violation(reference, message, detail)


def still_referenced(
    reference: Reference, values: Sequence[Any], settings: FormatSettings, *, is_shown: bool
) -> SqlError:
    """Return the error of values that are gone although a foreign key has them; as `orphan`."""
    key, child, parent = reference
    shown = _key(parent, key.referenced, values, settings) if is_shown else "Key"
    message = (
        f'update or delete on table "{parent.name}" '
        f'violates foreign key constraint "{key.name}" on table "{child.name}"'
    )
    detail = f'{shown} is still referenced from table "{child.name}".'
    return _foreign_key_violation(reference, message, detail)


def primary_key_text(table: Table, row: Sequence[Any], settings: FormatSettings) -> str:
    """Return the names and values of a row's primary key; `row` holds stored values. "" without one."""
    index = table.primary_key
    if index is None:
        return ""
    numbers = [part.column_number for part in index.columns]
    columns = [table.columns[number - 1] for number in numbers]
    values = [load(column.type_oid, row[column.number - 1]) for column in columns]
    return _key(table, numbers, values, settings)


def _key(
    table: Table, numbers: Sequence[int], values: Sequence[Any], settings: FormatSettings
) -> str:
    columns = [table.columns[number - 1] for number in numbers]
    texts = [
        value_text(column.type_oid, value, settings)
        for column, value in zip(columns, values, strict=True)
    ]
    return f"Key ({', '.join(column.name for column in columns)})=({', '.join(texts)})"


def _foreign_key_violation(reference: Reference, message: str, detail: str) -> SqlError:
    key, child, _ = reference
    return SqlError(
        "23503",
        message,
        detail=detail,
        schema=child.schema,
        table=child.name,
        constraint=key.name,
    )


def second_update() -> SqlError:
    """Return the error of ON CONFLICT DO UPDATE meeting a row of its own command."""
    return SqlError(
        "21000",
        "ON CONFLICT DO UPDATE command cannot affect row a second time",
        hint="Ensure that no rows proposed for insertion within the same command "
        "have duplicate constrained values.",
    )


def second_merge() -> SqlError:
    """Return the error of MERGE meeting a row that it has changed already."""
    return SqlError(
        "21000",
        "MERGE command cannot affect row a second time",
        hint="Ensure that not more than one source row matches any one target row.",
    )


def key_too_large() -> SqlError:
    """Return the error of a key or index entry above its limit."""
    return SqlError("54000", "key size too large")


def check_row_size(table: Table, row: Sequence[Any], size: int) -> None:
    """Raise SqlError 54000 for a row or a value above its limit; `size` is the encoded row's."""
    for column in table.live_columns:
        value = row[column.number - 1]
        length = len(value.encode()) if isinstance(value, str) else 0
        length = len(value) if isinstance(value, bytes) else length
        if length > VALUE_BYTES_MAX:
            name = registry.get(column.type_oid).sql_name
            raise SqlError(
                "54000",
                f"datatype limit greater than {VALUE_BYTES_MAX} bytes not supported for {name}",
            )
    if size > ROW_BYTES_MAX:
        raise SqlError("54000", "maximum row size exceeded")
