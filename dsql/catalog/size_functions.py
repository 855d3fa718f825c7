"""pg_relation_size and its kin: what tables and indexes take.

The rows of a table are counted at the moment of asking, keys and values as they are stored, its own
transaction's included: exact, but it takes as long as reading them all. That of a database is what its
files take in the zone that is read from, superseded versions and free pages included.
"""

from __future__ import annotations

from typing import Any

from dsql.catalog.context_functions import define
from dsql.catalog.names import find_index
from dsql.catalog.schema import Table
from dsql.catalog.virtual import virtual_table
from dsql.encoding.keyspace import keyspace_range
from dsql.errors import SqlError
from dsql.types import oids

_FORKS = ("main", "fsm", "vm", "init")
_TABLESPACES = {1663: "pg_default", 1664: "pg_global"}  # which this server does not tell apart
_CHECKED_ROWS = 1_000


def _keyspace_size(context: Any, keyspace_id: int) -> int:
    size = 0
    rows = context.transaction.scan(*keyspace_range(keyspace_id))
    for number, (key, value) in enumerate(rows):
        size += len(key) + len(value)
        if number % _CHECKED_ROWS == 0:
            context.check_cancel()
    return size


def _table_size(context: Any, table: Table) -> int:
    return _keyspace_size(context, table.keyspace_id) if table.has_rows else 0


def _indexes_size(context: Any, table: Table) -> int:
    """Return what secondary indexes take: the rows lie in the primary key's, and count as the table's."""
    return sum(
        _keyspace_size(context, index.keyspace_id) for index in table.indexes if not index.primary
    )


@define("pg_relation_size", (oids.REGCLASS,), oids.INT8, volatility="v")
def _pg_relation_size(context: Any, oid: int) -> int | None:
    table = context.catalog.tables_by_oid.get(oid)
    if table is not None:
        return _table_size(context, table)
    found = find_index(context.catalog, oid)
    if found is not None:
        return 0 if found[1].primary else _keyspace_size(context, found[1].keyspace_id)
    return None if virtual_table(oid) is None else 0


@define("pg_relation_size", (oids.REGCLASS, oids.TEXT), oids.INT8, volatility="v")
def _pg_relation_size_of_fork(context: Any, oid: int, fork: str) -> int | None:
    if fork not in _FORKS:
        hint = 'Valid fork names are "main", "fsm", "vm", and "init".'
        raise SqlError("22023", "invalid fork name", hint=hint)
    size: int | None = _pg_relation_size(context, oid)
    return size if fork == "main" or size is None else 0


@define("pg_table_size", (oids.REGCLASS,), oids.INT8, volatility="v")
def _pg_table_size(context: Any, oid: int) -> int | None:
    size: int | None = _pg_relation_size(context, oid)
    return size


@define("pg_indexes_size", (oids.REGCLASS,), oids.INT8, volatility="v")
def _pg_indexes_size(context: Any, oid: int) -> int | None:
    table = context.catalog.tables_by_oid.get(oid)
    if table is not None:
        return _indexes_size(context, table)
    known = find_index(context.catalog, oid) or virtual_table(oid)
    return None if known is None else 0


@define("pg_total_relation_size", (oids.REGCLASS,), oids.INT8, volatility="v")
def _pg_total_relation_size(context: Any, oid: int) -> int | None:
    table = context.catalog.tables_by_oid.get(oid)
    if table is not None:
        return _table_size(context, table) + _indexes_size(context, table)
    size: int | None = _pg_relation_size(context, oid)
    return size


@define("pg_database_size", (oids.OID,), oids.INT8, volatility="v")
def _pg_database_size(context: Any, oid: int) -> int | None:
    return context.facts.stored_bytes if oid == context.catalog.database.oid else None


@define("pg_database_size", (oids.NAME,), oids.INT8, volatility="v")
def _pg_database_size_by_name(context: Any, name: str) -> int:
    if name != context.catalog.database.name:
        raise SqlError("3D000", f'database "{name}" does not exist')
    size: int = context.facts.stored_bytes
    return size


@define("pg_tablespace_size", (oids.OID,), oids.INT8, volatility="v")
def _pg_tablespace_size(context: Any, oid: int) -> int | None:
    return context.facts.stored_bytes if oid in _TABLESPACES else None


@define("pg_tablespace_size", (oids.NAME,), oids.INT8, volatility="v")
def _pg_tablespace_size_by_name(context: Any, name: str) -> int:
    if name not in _TABLESPACES.values():
        raise SqlError("42704", f'tablespace "{name}" does not exist')
    size: int = context.facts.stored_bytes
    return size
