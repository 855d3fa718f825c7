"""CREATE SCHEMA."""

from __future__ import annotations

from typing import Any

from dsql.catalog.schema import FIRST_USER_OID, Schema
from dsql.catalog.store import CatalogWriter
from dsql.ddl.result import UtilityContext, UtilityResult
from dsql.errors import SqlError, unsupported
from dsql.limits import SCHEMAS_MAX


def create_schema(statement: Any, context: UtilityContext) -> UtilityResult:
    """Run a CreateSchemaStmt."""
    result = UtilityResult("CREATE SCHEMA")
    name = statement.schemaname or (statement.authrole.rolename if statement.authrole else "")
    if context.user.name != "admin":
        raise SqlError("42501", "permission denied for database postgres")
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
    writer = CatalogWriter(context.transaction)
    writer.claim_name("", name)
    writer.put_schema(Schema(writer.allocate_oid(), name, context.user.oid))
    return result
