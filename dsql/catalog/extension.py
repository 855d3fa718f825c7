"""The extension that the schema `sys` belongs to, in the postgres profile.

A whole database is dumped without what an extension has made, and without an extension that every database
has from the start (its OID is below 16384). So pg_dump, which knows no `sys`, leaves it out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dsql.catalog.context_functions import define
from dsql.catalog.schema import ADMIN_OID
from dsql.catalog.virtual import provides, virtual_tables
from dsql.functions.function import Function
from dsql.functions.registry import all_callees
from dsql.types import oids

Row = Mapping[str, Any]

_SCHEMA = "sys"
_OID = 13_003
_NAME, _VERSION = "dsql", "1.0"
_COMMENT = "what belongs to this server: jobs, roles' mappings, its version"
_AVAILABLE = (("name", oids.NAME), ("default_version", oids.TEXT), ("comment", oids.TEXT))


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
            "extname": _NAME,
            "extowner": ADMIN_OID,
            "extnamespace": context.catalog.schemas[_SCHEMA].oid,
            "extversion": _VERSION,
        }


@define("pg_available_extensions", (), oids.RECORD, columns=_AVAILABLE)
def _available(context: Any) -> list[tuple[str, str, str]]:
    """Return the only one that there is; no other one can be created."""
    return [(_NAME, _VERSION, _COMMENT)] if context.profile == "postgres" else []


@provides("pg_catalog", "pg_available_extensions")
def _pg_available_extensions(context: Any) -> Iterator[Row]:
    for name, version, comment in _available(context):
        yield {
            "name": name,
            "default_version": version,
            "installed_version": version,
            "comment": comment,
        }
