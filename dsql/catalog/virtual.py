"""Tables the server computes: pg_catalog, information_schema and sys.

Every relation of PostgreSQL 16's system schemas exists with its columns (`system_columns.tsv`); those
nobody provides rows for are empty, as they are in a database that does not use the feature. A provider is
a function of the statement's Context that yields one mapping per row; a column it leaves out is NULL, or
the type's zero where the catalog says NOT NULL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from dsql.access.privileges import Privilege
from dsql.catalog.schema import ADMIN_OID, PUBLIC, Acl, AclItem
from dsql.types import builtin, registry

Provider = Callable[[Any], Iterable[Mapping[str, Any]]]

# Readable by all, and nobody writes.
_OPEN: Acl = (
    AclItem(ADMIN_OID, ADMIN_OID, Privilege.SELECT.value),
    AclItem(PUBLIC, ADMIN_OID, Privilege.SELECT.value),
)
# What PostgreSQL shows to superusers only, so nobody sees it here: secrets, samples of rows, the host.
# (Of pg_subscription, which is empty, it hides one column, and psql reads the rest.)
_CLOSED = frozenset(
    {
        "pg_authid", "pg_backend_memory_contexts", "pg_config", "pg_file_settings", "pg_hba_file_rules",
        "pg_ident_file_mappings", "pg_largeobject", "pg_replication_origin_status", "pg_shadow",
        "pg_shmem_allocations", "pg_statistic", "pg_statistic_ext_data",
        "pg_user_mapping",
    }
)  # fmt: skip
_ZEROES: dict[str, Any] = {"bool": False, "text": "", "name": "", "char": "", "varchar": ""}
_ZEROES["pg_node_tree"] = ""
_ZEROES |= {"float4": 0.0, "int2vector": (), "oidvector": (), "regproc": 0}


@dataclass(slots=True, eq=False)
class VirtualTable:
    """A computed table. `rows(context)` yields tuples of runtime values, one per column.

    `context` is a `dsql.functions.function.Context`; rows come from `context.catalog`, so that they are
    those of the snapshot. `columns`: (name, type OID); `not_null` and `zeroes` run parallel to it.
    """

    oid: int
    schema: str
    name: str
    kind: str
    columns: tuple[tuple[str, int], ...]
    not_null: tuple[bool, ...]
    zeroes: tuple[Any, ...]
    provider: Provider | None = None

    @property
    def acl(self) -> Acl:
        """Who may read the table: everybody, or nobody."""
        return () if self.name in _CLOSED else _OPEN

    def rows(self, context: Any) -> Iterator[tuple[Any, ...]]:
        """Yield the table's rows at the context's snapshot."""
        if self.provider is None:
            return
        defaults = dict(zip((name for name, _ in self.columns), self.zeroes, strict=True))
        for row in self.provider(context):
            yield tuple({**defaults, **row}.values())


def _read_definitions() -> dict[tuple[str, str], VirtualTable]:
    assert builtin.MODULES, "columns need every type registered"
    text = resources.files("dsql.catalog").joinpath("system_columns.tsv").read_text("utf-8")
    tables = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        schema, name, oid, kind, columns = line.split("\t")
        tables[schema, name] = _definition(schema, name, int(oid), kind, columns.split(","))
    return tables


def _definition(schema: str, name: str, oid: int, kind: str, columns: list[str]) -> VirtualTable:
    parts = [column.rstrip("!").split(":") for column in columns]
    not_null = tuple(column.endswith("!") for column in columns)
    types = []
    for column, type_name in parts:
        found = registry.find(type_name)
        assert found is not None, f"{schema}.{name}.{column}: {type_name}"
        types.append((column, found.oid))
    zeroes = tuple(
        _ZEROES.get(type_name, 0) if required else None
        for (_, type_name), required in zip(parts, not_null, strict=True)
    )
    return VirtualTable(oid, schema, name, kind, tuple(types), not_null, zeroes)


_tables = _read_definitions()


def virtual_tables() -> dict[tuple[str, str], VirtualTable]:
    """Return every computed table by (schema, name)."""
    return _tables


@cache
def _by_oid() -> dict[int, VirtualTable]:
    return {table.oid: table for table in _tables.values()}


def virtual_table(oid: int) -> VirtualTable | None:
    """Return the computed table with this OID, None if there is none."""
    return _by_oid().get(oid)


def provides(schema: str, name: str) -> Callable[[Provider], Provider]:
    """Make the decorated function the provider of a table's rows."""

    def register(provider: Provider) -> Provider:
        table = _tables[schema, name]
        assert table.provider is None, name
        table.provider = provider
        return provider

    return register
