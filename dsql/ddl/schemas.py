"""CREATE SCHEMA."""

from __future__ import annotations

from typing import Any

from dsql.access.authority import Authority
from dsql.access.default_acls import initial_acl
from dsql.access.privileges import Kind, Privilege, permission_denied
from dsql.catalog.schema import FIRST_USER_OID, Role, Schema
from dsql.catalog.store import CatalogWriter
from dsql.ddl.result import UtilityContext, UtilityResult
from dsql.ddl.role_specs import role_of
from dsql.errors import SqlError, unsupported
from dsql.limits import SCHEMAS_MAX


def create_schema(statement: Any, context: UtilityContext) -> UtilityResult:
    """Run a CreateSchemaStmt."""
    result = UtilityResult("CREATE SCHEMA")
    owner = context.user
    if statement.HasField("authrole"):
        owner = role_of(statement.authrole, context)
    name = statement.schemaname or owner.name
    _check_authority(owner, context)
    if statement.schema_elts:
        raise unsupported("CREATE SCHEMA with nested statements is not supported")
    if name.startswith("pg_"):
        raise SqlError(
            "42939",
            f'unacceptable schema name "{name}"',
            detail='The prefix "pg_" is reserved for system schemas.',
        )
    if name in context.catalog.schemas:
        if not statement.if_not_exists:
            raise SqlError("42P06", f'schema "{name}" already exists')
        result.notice("42P06", f'schema "{name}" already exists, skipping')
        return result
    users = [schema for schema in context.catalog.schemas.values() if schema.oid >= FIRST_USER_OID]
    if context.profile == "dsql" and len(users) >= SCHEMAS_MAX:
        raise SqlError("54000", f"more than {SCHEMAS_MAX} schemas not allowed")
    acl = initial_acl(context.catalog, Kind.SCHEMA, owner.oid)
    writer = CatalogWriter(context.transaction)
    writer.claim_name("", name)
    writer.put_schema(Schema(writer.allocate_oid(), name, owner.oid, acl))
    return result


def _check_authority(owner: Role, context: UtilityContext) -> None:
    """Raise SqlError 42501 without CREATE on the database, or for an owner the user cannot become."""
    database = context.catalog.database
    authority = Authority(context.catalog, context.user.oid)
    if not authority.holds(Kind.DATABASE, database.owner_oid, database.acl, Privilege.CREATE):
        raise permission_denied(Kind.DATABASE, database.name)
    if not authority.may_set(owner.oid):
        raise SqlError("42501", f'must be able to SET ROLE "{owner.name}"')
