"""Tables the server computes: pg_catalog, information_schema and sys."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class VirtualTable:
    """A computed table. `rows(context)` yields tuples of runtime values, one per column.

    `context` is a `dsql.functions.function.Context`; rows come from `context.catalog`, so that they are
    those of the snapshot. `columns`: (name, type OID).
    """

    oid: int
    schema: str
    name: str
    columns: tuple[tuple[str, int], ...]
    rows: Callable[[Any], Iterable[tuple[Any, ...]]]
    kind: str = "r"


_registered: dict[tuple[str, str], VirtualTable] = {}


def register(table: VirtualTable) -> VirtualTable:
    """Add a computed table; done when its module is imported."""
    assert (table.schema, table.name) not in _registered, table.name
    _registered[table.schema, table.name] = table
    return table


def virtual_tables() -> dict[tuple[str, str], VirtualTable]:
    """Return every computed table by (schema, name)."""
    return _registered
