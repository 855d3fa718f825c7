"""The types that users make by their names: found, owned, renamed and moved, whatever kind they are of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from msgspec.structs import replace

from dsql.access.privileges import Kind
from dsql.access.requirements import Ownership, Requirement, creation_in
from dsql.catalog.schema import UserType
from dsql.catalog.store import CatalogWriter
from dsql.catalog.user_types import user_type_name
from dsql.ddl import nodes
from dsql.ddl.domains import refuse_taken_type
from dsql.ddl.following import put_all
from dsql.ddl.naming import require_schema, schemas_to_search
from dsql.ddl.result import UtilityContext, UtilityResult
from dsql.errors import SqlError

_TAG = "ALTER TYPE"


def find_user_type(context: UtilityContext, names: Sequence[str]) -> UserType | None:
    """Return the type of a name. Raises SqlError 3F000, 42501 for its schema."""
    schema = names[-2] if len(names) > 1 else ""
    schemas_to_search(context, schema)
    return context.catalog.find_user_type(schema or None, names[-1], context.search_path)


def own_type(context: UtilityContext, found: UserType, *, or_schema: bool = False) -> Ownership:
    """Return what changing a type takes, dropping it: to own it `or_schema`."""
    others = (context.catalog.schemas[found.schema].owner_oid,) if or_schema else ()
    name = user_type_name(found, context.catalog, context.search_path)
    return Ownership(Kind.TYPE, name, found.owner_oid, others)


def named_type(statement: Any, context: UtilityContext) -> UserType | None:
    """Return the type that a RenameStmt or AlterObjectSchemaStmt of a TYPE is about."""
    return find_user_type(context, nodes.strings(statement.object.list.items))


def move_type_requires(
    found: UserType, schema: str, context: UtilityContext
) -> Iterator[Requirement]:
    """Yield what SET SCHEMA needs: a place in the new schema, and to own the type."""
    yield creation_in(require_schema(context, schema))
    yield own_type(context, found)


def rename_user_type(found: UserType, name: str, context: UtilityContext) -> UtilityResult:
    """Run a RenameStmt of a type. Raises SqlError 42710."""
    refuse_taken_type(name, found.schema, context)
    renamed = replace(found, name=name)
    put_all(context.catalog, [renamed], CatalogWriter(context.transaction))
    return UtilityResult(_TAG)


def set_type_schema(found: UserType, schema: str, context: UtilityContext) -> UtilityResult:
    """Run an AlterObjectSchemaStmt of a type. Raises SqlError 42710."""
    if schema != found.schema:
        try:
            refuse_taken_type(found.name, schema, context)
        except SqlError as error:
            error.message += f' in schema "{schema}"'
            raise
        moved = replace(found, schema=schema)
        put_all(context.catalog, [moved], CatalogWriter(context.transaction))
    return UtilityResult(_TAG)
