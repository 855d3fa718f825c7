"""Which foreign keys a table takes part in: as the one that refers, and as the one that is referred to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from dsql.catalog.catalog import Catalog
from dsql.catalog.schema import ForeignKey, Table


class Reference(NamedTuple):
    """A foreign key with its tables: rows of `child` refer to rows of `parent`."""

    key: ForeignKey
    child: Table
    parent: Table


@dataclass(frozen=True, slots=True)
class WatchedKey:
    """Columns of a table whose new or lost values a foreign key has to know.

    `oid` is the foreign key's. `is_parent`: other rows refer to these columns, so what counts is what goes;
    else they refer, and what comes counts. `full`: a value counts unless all of it is NULL (MATCH FULL),
    otherwise if none of it is.
    """

    oid: int
    is_parent: bool
    columns: tuple[int, ...]
    full: bool = False


def watched_keys(table: Table, catalog: Catalog) -> tuple[WatchedKey, ...]:
    """Return the keys whose changes a statement that writes a table has to note."""
    children = [
        WatchedKey(key.oid, False, key.columns, key.match == "f") for key in table.foreign_keys
    ]
    parents = [
        WatchedKey(reference.key.oid, True, reference.key.referenced)
        for reference in referring(table, catalog)
    ]
    return (*parents, *children)


def referring(table: Table, catalog: Catalog) -> tuple[Reference, ...]:
    """Return the foreign keys that refer to a table, in the order of their making."""
    found = [Reference(key, child, table) for child, key in catalog.references.get(table.oid, ())]
    return tuple(sorted(found, key=lambda reference: reference.key.oid))


def find_reference(oid: int, catalog: Catalog) -> Reference | None:
    """Return a foreign key by its OID, None if there is none (any more)."""
    found = catalog.foreign_keys.get(oid)
    if found is None:
        return None
    child, key = found
    return Reference(key, child, catalog.tables_by_oid[key.table_oid])
