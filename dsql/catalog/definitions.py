"""The SQL text of catalog objects, as pg_get_indexdef and pg_get_constraintdef print it."""

from __future__ import annotations

import re

from dsql.catalog.foreign_keys import Reference
from dsql.catalog.index_forms import access_method, included_columns
from dsql.catalog.pretty import pretty
from dsql.catalog.schema import CheckConstraint, Index, IndexColumn, Table
from dsql.types.identifier import quote_identifier

_FUNCTION_CALL = re.compile(r"[\w.\"]+\(.*\)", re.DOTALL)


def index_definition(index: Index, table: Table, profile: str, *, is_pretty: bool = False) -> str:
    """Return the CREATE INDEX statement of an index."""
    unique = "UNIQUE " if index.unique else ""
    target = quote_identifier(table.name)
    if not is_pretty:
        target = f"{quote_identifier(table.schema)}.{target}"
    parts = ", ".join(index_part(part, table, is_pretty=is_pretty) for part in index.columns)
    _, method = access_method(profile)
    text = (
        f"CREATE {unique}INDEX {quote_identifier(index.name)} ON {target} USING {method} ({parts})"
    )
    included = included_columns(index, table, profile)
    if included:
        text += f" INCLUDE ({column_list(included, table)})"
    if index.nulls_not_distinct:
        text += " NULLS NOT DISTINCT"
    if index.predicate:
        text += f" WHERE {pretty(index.predicate) if is_pretty else index.predicate}"
    return text


def index_key(part: IndexColumn, table: Table, *, is_pretty: bool = False) -> str:
    """Return a key part's column or expression."""
    if part.column_number:
        return quote_identifier(table.columns[part.column_number - 1].name)
    text = part.expression or ""
    text = pretty(text) if is_pretty else text
    return text if _FUNCTION_CALL.fullmatch(text) else f"({text})"


def index_part(part: IndexColumn, table: Table, *, is_pretty: bool = False) -> str:
    """Return one key part with its order, as inside CREATE INDEX's parentheses."""
    text = index_key(part, table, is_pretty=is_pretty)
    if part.opclass:
        text += f" {part.opclass}"
    if part.descending:
        text += " DESC"
    if part.nulls_first != part.descending:
        text += " NULLS FIRST" if part.nulls_first else " NULLS LAST"
    return text


def column_list(numbers: tuple[int, ...], table: Table) -> str:
    """Return quoted column names, separated by commas."""
    return ", ".join(quote_identifier(table.columns[number - 1].name) for number in numbers)


def key_definition(index: Index, table: Table) -> str:
    """Return a PRIMARY KEY or UNIQUE constraint as ALTER TABLE ... ADD takes it."""
    word = "PRIMARY KEY" if index.primary else "UNIQUE"
    if index.nulls_not_distinct:
        word += " NULLS NOT DISTINCT"
    numbers = tuple(part.column_number for part in index.columns)
    text = f"{word} ({column_list(numbers, table)})"
    if index.include:
        text += f" INCLUDE ({column_list(index.include, table)})"
    return text


_MATCHES = {"s": "", "f": " MATCH FULL"}
_ACTIONS = {"a": "", "r": "RESTRICT", "c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}


def foreign_key_definition(reference: Reference, target: str) -> str:
    """Return a FOREIGN KEY as ALTER TABLE ... ADD takes it; `target` is the table's name in it."""
    key, child, parent = reference
    text = f"FOREIGN KEY ({column_list(key.columns, child)}) REFERENCES {target}"
    text += f"({column_list(key.referenced, parent)}){_MATCHES[key.match]}"
    if key.on_update != "a":
        text += f" ON UPDATE {_ACTIONS[key.on_update]}"
    if key.on_delete != "a":
        text += f" ON DELETE {_ACTIONS[key.on_delete]}"
        if key.delete_columns:
            text += f" ({column_list(key.delete_columns, child)})"
    if key.deferrable:
        text += " DEFERRABLE INITIALLY DEFERRED" if key.initially_deferred else " DEFERRABLE"
    return text + ("" if key.validated else " NOT VALID")


def check_definition(check: CheckConstraint, *, is_pretty: bool = False) -> str:
    """Return a CHECK constraint as ALTER TABLE ... ADD takes it."""
    text = pretty(check.expression) if is_pretty else check.expression
    return f"CHECK ({text})" + ("" if check.validated else " NOT VALID")
