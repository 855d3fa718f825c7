"""What an index is called in the catalogs: Aurora DSQL's forms in its profile, else PostgreSQL's.

The rows of a table lie in its primary key, which DSQL therefore shows as an index that includes all other
columns, of an access method of its own. Clients of PostgreSQL take what they read there for the key.
"""

from __future__ import annotations

from dsql.catalog.schema import Index, Table

HEAP_AM = 2
BTREE_AM, BTREE_INDEX_AM = 403, 10_003
DSQL = "dsql"


def access_method(profile: str) -> tuple[int, str]:
    """Return OID and name of the indexes' access method."""
    return (BTREE_INDEX_AM, "btree_index") if profile == DSQL else (BTREE_AM, "btree")


def table_method(profile: str) -> tuple[int, str]:
    """Return OID and name of the tables' access method."""
    return HEAP_AM, "btree-table" if profile == DSQL else "heap"


def included_columns(index: Index, table: Table, profile: str) -> tuple[int, ...]:
    """Return the numbers of the columns in INCLUDE."""
    if not index.primary or profile != DSQL:
        return index.include
    keys = {part.column_number for part in index.columns}
    return tuple(column.number for column in table.live_columns if column.number not in keys)


def index_column_numbers(index: Index, table: Table, profile: str) -> list[int]:
    """Return pg_index.indkey: key columns (0 for an expression), then included ones."""
    keys = [part.column_number for part in index.columns]
    return [*keys, *included_columns(index, table, profile)]
