"""The statements that a foreign key consists of, in the words of PostgreSQL's ri_triggers.c.

Their parameters are the values of a key in order, without those that are NULL; of ON UPDATE CASCADE the new
values come first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from dsql.catalog.foreign_keys import Reference
from dsql.catalog.schema import Table


def find_parent(reference: Reference) -> str:
    """Return the query for the row which a child's values refer to."""
    key, parent = reference.key, reference.parent
    where = _where("x.", parent, key.referenced, [True] * len(key.referenced))
    return f"SELECT 1 FROM ONLY {_name(parent)} x WHERE {where}"


def lock_parent(reference: Reference) -> str:
    """Return the query that locks it as well."""
    return f"{find_parent(reference)} FOR KEY SHARE OF x"


def find_child(reference: Reference, values: Sequence[Any]) -> str:
    """Return the query for one row that has these values, some of which may be NULL."""
    given = [value is not None for value in values]
    where = _where("x.", reference.child, reference.key.columns, given)
    return f"SELECT 1 FROM ONLY {_name(reference.child)} x WHERE {where} LIMIT 1"


def delete_children(reference: Reference) -> str:
    """Return the statement of ON DELETE CASCADE."""
    return f"DELETE FROM ONLY {_name(reference.child)} WHERE {_children(reference)}"


def update_children(reference: Reference) -> str:
    """Return the statement of ON UPDATE CASCADE."""
    key, child = reference.key, reference.child
    changes = [
        f"{_column(child, number)} = ${place}" for place, number in enumerate(key.columns, 1)
    ]
    where = _children(reference, first=len(key.columns) + 1)
    return f"UPDATE ONLY {_name(child)} SET {', '.join(changes)} WHERE {where}"


def reset_children(reference: Reference, action: str, numbers: Iterable[int]) -> str:
    """Return the statement of SET NULL (`action` n) or SET DEFAULT (d) for some of a key's columns."""
    child, value = reference.child, "NULL" if action == "n" else "DEFAULT"
    changes = ", ".join(f"{_column(child, number)} = {value}" for number in numbers)
    return f"UPDATE ONLY {_name(child)} SET {changes} WHERE {_children(reference)}"


def _children(reference: Reference, first: int = 1) -> str:
    """Return the condition of the rows that refer to the values of parameters from `first` on."""
    numbers = enumerate(reference.key.columns, first)
    return " AND ".join(
        f"${place} OPERATOR(pg_catalog.=) {_column(reference.child, number)}"
        for place, number in numbers
    )


def _where(alias: str, table: Table, numbers: Sequence[int], given: Sequence[bool]) -> str:
    parts, place = [], 0
    for number, is_given in zip(numbers, given, strict=True):
        column = f"{alias}{_column(table, number)}"
        place += is_given
        parts.append(
            f"{column} OPERATOR(pg_catalog.=) ${place}" if is_given else f"{column} IS NULL"
        )
    return " AND ".join(parts)


def _name(table: Table) -> str:
    return f"{_quoted(table.schema)}.{_quoted(table.name)}"


def _column(table: Table, number: int) -> str:
    return _quoted(table.columns[number - 1].name)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
