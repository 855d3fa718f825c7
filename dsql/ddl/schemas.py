"""CREATE SCHEMA; what is nested in it the session runs afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dsql.access.default_acls import initial_acl
from dsql.access.privileges import Kind
from dsql.access.requirements import Requirement, RoleMembership, schema_creation
from dsql.catalog.schema import FIRST_USER_OID, Role, Schema
from dsql.catalog.store import CatalogWriter
from dsql.ddl.result import UtilityContext, UtilityResult
from dsql.ddl.role_specs import role_of
from dsql.errors import SqlError
from dsql.limits import SCHEMAS_MAX
from dsql.sql.gate import ParsedStatement


def create_schema_requires(
    parsed: ParsedStatement, context: UtilityContext
) -> Iterator[Requirement]:
    """Yield what a CreateSchemaStmt needs: CREATE on the database, and to be its owner-to-be."""
    owner = _owner(parsed.node, context)
    yield schema_creation(context.catalog.database)
    yield RoleMembership(owner)


def _owner(statement: Any, context: UtilityContext) -> Role:
    return role_of(statement.authrole, context) if statement.HasField("authrole") else context.user


def schema_name(statement: Any, context: UtilityContext) -> str:
    """Return the name of the schema that a CreateSchemaStmt makes: without one, its owner's."""
    return statement.schemaname or _owner(statement, context).name


def refuse_reserved(name: str) -> None:
    """Raise SqlError 42939 for a name that only the system's schemas have."""
    if name.startswith("pg_"):
        raise SqlError(
            "42939",
            f'unacceptable schema name "{name}"',
            detail='The prefix "pg_" is reserved for system schemas.',
        )


def create_schema(statement: Any, context: UtilityContext) -> UtilityResult:
    """Run a CreateSchemaStmt."""
    result = UtilityResult("CREATE SCHEMA")
    owner = _owner(statement, context)
    name = schema_name(statement, context)
    refuse_reserved(name)
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
