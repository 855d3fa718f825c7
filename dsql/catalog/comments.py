"""What COMMENT ON has said: pg_description, pg_shdescription and the functions that look there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from dsql.catalog.catalog import Catalog
from dsql.catalog.context_functions import define
from dsql.catalog.dependencies import PG_CLASS, PG_NAMESPACE, PG_TYPE, Address
from dsql.catalog.schema import Table
from dsql.catalog.virtual import provides, virtual_tables
from dsql.types import oids

PG_PROC, PG_AUTHID, PG_DATABASE = 1255, 1260, 1262


class Comment(NamedTuple):
    """A comment and what it is about."""

    about: Address
    text: str


def comments(catalog: Catalog) -> Iterator[Comment]:
    """Yield every comment on an object of the database."""
    for table in catalog.tables.values():
        yield from _of_table(table)
    for schema in catalog.schemas.values():
        if schema.comment is not None:
            yield Comment(Address(PG_NAMESPACE, schema.oid), schema.comment)
    for function in catalog.functions.values():
        if function.comment is not None:
            yield Comment(Address(PG_PROC, function.oid), function.comment)
    for domain in catalog.domains.values():
        if domain.comment is not None:
            yield Comment(Address(PG_TYPE, domain.oid), domain.comment)
    for enum in catalog.user_types.values():
        if enum.comment is not None:
            yield Comment(Address(PG_TYPE, enum.oid), enum.comment)


def shared_comments(catalog: Catalog) -> Iterator[Comment]:
    """Yield every comment on what databases share: roles, and the database itself."""
    for role in catalog.roles.values():
        if role.comment is not None:
            yield Comment(Address(PG_AUTHID, role.oid), role.comment)
    if catalog.database.comment is not None:
        yield Comment(Address(PG_DATABASE, catalog.database.oid), catalog.database.comment)


def _of_table(table: Table) -> Iterator[Comment]:
    if table.comment is not None:
        yield Comment(Address(PG_CLASS, table.oid), table.comment)
    for part in table.part_comments:
        yield Comment(Address(part.class_oid, part.oid, part.column), part.text)


@provides("pg_catalog", "pg_description")
def _pg_description(context: Any) -> Iterator[Mapping[str, Any]]:
    for about, text in comments(context.catalog):
        yield {
            "objoid": about.oid,
            "classoid": about.class_oid,
            "objsubid": about.column,
            "description": text,
        }


@provides("pg_catalog", "pg_shdescription")
def _pg_shdescription(context: Any) -> Iterator[Mapping[str, Any]]:
    for about, text in shared_comments(context.catalog):
        yield {"objoid": about.oid, "classoid": about.class_oid, "description": text}


def _class_oid(catalog_name: str) -> int:
    found = virtual_tables().get(("pg_catalog", catalog_name))
    return found.oid if found is not None else 0


@define("obj_description", (oids.OID, oids.NAME), oids.TEXT)
def _obj_description(context: Any, oid: int, catalog_name: str) -> str | None:
    wanted = Address(_class_oid(catalog_name), oid)
    return next((text for about, text in comments(context.catalog) if about == wanted), None)


@define("obj_description", (oids.OID,), oids.TEXT)
def _obj_description_anywhere(context: Any, oid: int) -> str | None:
    found = (
        text for about, text in comments(context.catalog) if (about.oid, about.column) == (oid, 0)
    )
    return next(found, None)


@define("col_description", (oids.OID, oids.INT4), oids.TEXT)
def _col_description(context: Any, oid: int, number: int) -> str | None:
    table = context.catalog.tables_by_oid.get(oid)
    if table is None:
        return None
    wanted = Address(PG_CLASS, oid, number)
    return next((text for about, text in _of_table(table) if about == wanted), None)


@define("shobj_description", (oids.OID, oids.NAME), oids.TEXT)
def _shobj_description(context: Any, oid: int, catalog_name: str) -> str | None:
    wanted = Address(_class_oid(catalog_name), oid)
    return next((text for about, text in shared_comments(context.catalog) if about == wanted), None)
