"""What depends on a role, as DROP ROLE's DETAIL names it (PostgreSQL's pg_shdepend.c)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from dsql.access.privileges import RELATION_KINDS
from dsql.catalog.catalog import Catalog
from dsql.catalog.names import is_visible
from dsql.catalog.schema import Acl, Role, Table
from dsql.types.identifier import quote_identifier

_Line = tuple[int, str]  # the object's OID, by which PostgreSQL sorts, and the text


def dependency_lines(
    role: Role, catalog: Catalog, search_path: Sequence[str], dropped: Collection[int]
) -> list[str]:
    """Return a line for each object that needs the role. `dropped`: the roles that go together with it."""
    found = [
        *_of_tables(role.oid, catalog, search_path),
        *_of_schemas(role.oid, catalog),
        *_of_default_acls(role.oid, catalog),
        *_of_memberships(role.oid, catalog, dropped),
    ]
    return [text for _, text in sorted(found, key=lambda line: line[0])]


def _of_tables(role: int, catalog: Catalog, search_path: Sequence[str]) -> Iterator[_Line]:
    for table in catalog.tables.values():
        shown = described(table, catalog, search_path)
        if table.owner_oid == role:
            yield table.oid, f"owner of {shown}"
        elif _names(table.acl, role):
            yield table.oid, f"privileges for {shown}"
        for column in table.live_columns:
            if _names(column.acl, role) and table.owner_oid != role:
                name = quote_identifier(column.name)
                yield table.oid, f"privileges for column {name} of {shown}"


def described(table: Table, catalog: Catalog, search_path: Sequence[str]) -> str:
    """Return a relation as messages describe it: `table shop.t`, bare if the search path finds it."""
    name = quote_identifier(table.name)
    if not is_visible(catalog, search_path, (table.schema, table.name)):
        name = f"{quote_identifier(table.schema)}.{name}"
    return f"{RELATION_KINDS[table.kind].word} {name}"


def _of_schemas(role: int, catalog: Catalog) -> Iterator[_Line]:
    for schema in catalog.schemas.values():
        if schema.owner_oid == role:
            yield schema.oid, f"owner of schema {schema.name}"
        elif _names(schema.acl, role):
            yield schema.oid, f"privileges for schema {schema.name}"
    database = catalog.database
    if _names(database.acl, role):
        yield database.oid, f"privileges for database {database.name}"


_PLURALS = {"r": "relations", "S": "sequences", "f": "functions", "T": "types", "n": "schemas"}


def _of_default_acls(role: int, catalog: Catalog) -> Iterator[_Line]:
    schemas = {schema.oid: schema.name for schema in catalog.schemas.values()}
    for default in catalog.default_acls.values():
        owner = catalog.memberships.role(default.role)
        assert owner is not None, default
        text = (
            f"default privileges on new {_PLURALS[default.letter]} belonging to role {owner.name}"
        )
        if default.schema_oid:
            text += f" in schema {schemas[default.schema_oid]}"
        if default.role == role:
            yield default.oid, f"owner of {text}"
        elif _names(default.acl, role):
            yield default.oid, f"privileges for {text}"


def _of_memberships(role: int, catalog: Catalog, dropped: Collection[int]) -> Iterator[_Line]:
    for member in catalog.roles.values():
        for step in member.memberships:
            granted = catalog.memberships.role(step.role)
            gone = step.role in dropped or member.oid in dropped
            if step.grantor == role and granted is not None and not gone:
                text = f"privileges for membership of role {member.name} in role {granted.name}"
                yield member.oid, text


def _names(acl: Acl | None, role: int) -> bool:
    return any(role in (item.grantee, item.grantor) for item in acl or ())
