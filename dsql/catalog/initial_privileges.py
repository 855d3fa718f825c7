"""pg_init_privs: the rights that the system's own objects have from the start, which pg_dump leaves out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dsql.catalog.relations import acl_value
from dsql.catalog.schema import Acl
from dsql.catalog.store import BUILTIN_SCHEMAS
from dsql.catalog.virtual import provides, virtual_tables


@provides("pg_catalog", "pg_init_privs")
def _pg_init_privs(_context: Any) -> Iterator[Mapping[str, Any]]:
    for schema in BUILTIN_SCHEMAS:
        yield _row("pg_namespace", schema.oid, schema.acl)
    for table in virtual_tables().values():
        yield _row("pg_class", table.oid, table.acl)


def _row(catalog: str, oid: int, acl: Acl | None) -> Mapping[str, Any]:
    class_oid = virtual_tables()["pg_catalog", catalog].oid
    return {"objoid": oid, "classoid": class_oid, "privtype": "i", "initprivs": acl_value(acl)}
