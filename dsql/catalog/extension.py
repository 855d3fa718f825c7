"""The extension that the schema `sys` belongs to, in the postgres profile.

A whole database is dumped without what an extension has made, and without an extension that every database
has from the start (its OID is below 16384). So pg_dump, which knows no `sys`, leaves it out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dsql.catalog.schema import ADMIN_OID
from dsql.catalog.virtual import provides, virtual_tables
from dsql.functions.function import Function
from dsql.functions.registry import all_callees

Row = Mapping[str, Any]

_SCHEMA = "sys"
_OID = 13_003


def _catalog_oid(name: str) -> int:
    return virtual_tables()["pg_catalog", name].oid


def _members(context: Any) -> Iterator[tuple[str, int]]:
    """Yield (catalog, OID) of the schema and of everything in it."""
    yield "pg_namespace", context.catalog.schemas[_SCHEMA].oid
    for table in virtual_tables().values():
        if table.schema == _SCHEMA:
            yield "pg_class", table.oid
    for callee in all_callees():
        if isinstance(callee, Function) and callee.schema == _SCHEMA:
            yield "pg_proc", callee.oid


def membership_rows(context: Any) -> Iterator[Row]:
    """Yield the rows of pg_depend that say what belongs to the extension."""
    if context.profile == "postgres":
        for catalog, oid in _members(context):
            yield {
                "classid": _catalog_oid(catalog),
                "objid": oid,
                "refclassid": _catalog_oid("pg_extension"),
                "refobjid": _OID,
                "deptype": "e",
            }


@provides("pg_catalog", "pg_extension")
def _pg_extension(context: Any) -> Iterator[Row]:
    if context.profile == "postgres":
        yield {
            "oid": _OID,
            "extname": "dsql",
            "extowner": ADMIN_OID,
            "extnamespace": context.catalog.schemas[_SCHEMA].oid,
            "extversion": "1.0",
        }
