"""pg_stat_*_tables, pg_stat_*_indexes and their pg_statio_* kin: what there is, with nothing counted.

Reads and writes are not counted by table. The counters say 0, as PostgreSQL's do where track_counts is off.
Aurora DSQL has no such views, which are therefore empty in its profile.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dsql.catalog.catalog import Catalog
from dsql.catalog.index_forms import DSQL
from dsql.catalog.schema import Index, Table
from dsql.catalog.virtual import provides, virtual_tables

Row = Mapping[str, Any]


def _provide(name: str, *, indexes: bool) -> None:
    """Provide one of the views; its name says whether it has the user's tables only."""
    counters = {
        column: 0
        for column, _ in virtual_tables()["pg_catalog", name].columns
        if column.startswith(("seq_", "idx_", "n_", "heap_", "toast_", "tidx_"))
        or column.endswith("_count")
    }

    def rows(context: Any) -> Iterator[Row]:
        if context.profile == DSQL:
            return
        for table in _tables(context.catalog):
            if indexes:
                for index in table.indexes:
                    yield counters | _index(table, index)
            else:
                yield counters | _table(table)

    provides("pg_catalog", name)(rows)


def _tables(catalog: Catalog) -> Iterator[Table]:
    return (table for table in catalog.tables.values() if table.has_rows)


def _table(table: Table) -> dict[str, Any]:
    return {"relid": table.oid, "schemaname": table.schema, "relname": table.name}


def _index(table: Table, index: Index) -> dict[str, Any]:
    return {**_table(table), "indexrelid": index.oid, "indexrelname": index.name}


for _family in ("pg_stat", "pg_statio"):
    for _which in ("all", "user"):
        _provide(f"{_family}_{_which}_tables", indexes=False)
        _provide(f"{_family}_{_which}_indexes", indexes=True)
