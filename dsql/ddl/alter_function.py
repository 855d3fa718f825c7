"""ALTER FUNCTION: options, and the function under another name or in another schema."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from dsql.access.privileges import Kind
from dsql.access.requirements import Requirement, creation_in
from dsql.catalog.schema import SqlFunction
from dsql.catalog.store import CatalogWriter
from dsql.ddl import nodes
from dsql.ddl.drop_function import own_function
from dsql.ddl.following import put_all
from dsql.ddl.function_names import find_function, signature
from dsql.ddl.function_options import (
    changed_settings,
    check_rows,
    read_options,
    refuse_unsupported,
)
from dsql.ddl.naming import require_schema
from dsql.ddl.result import UtilityContext, UtilityResult
from dsql.errors import SqlError
from dsql.sql.gate import ParsedStatement

CALLED = {"OBJECT_FUNCTION": Kind.FUNCTION, "OBJECT_ROUTINE": Kind.ROUTINE}
_CHOSEN = (
    "volatility", "strict", "leakproof", "security_definer", "parallel", "cost", "rows",
)  # fmt: skip


def alter_function_requires(
    parsed: ParsedStatement, context: UtilityContext
) -> Iterator[Requirement]:
    """Yield what an AlterFunctionStmt needs: to own the function."""
    node = parsed.node.func
    found = find_function(_kind(parsed.node, "objtype"), node, context)
    yield own_function(found, context, ".".join(nodes.strings(node.objname)), or_schema=False)


def _kind(statement: Any, field: str) -> Kind:
    return CALLED.get(nodes.enum_name(statement, field), Kind.PROCEDURE)


def _ownership(kind: Kind, node: Any, context: UtilityContext) -> Requirement:
    found = find_function(kind, node, context)
    return own_function(found, context, found.name, or_schema=False)


def alter_function(parsed: ParsedStatement, context: UtilityContext) -> UtilityResult:
    """Run an AlterFunctionStmt."""
    statement = parsed.node
    kind = _kind(statement, "objtype")
    function = _own(kind, statement.func, context)
    options = read_options(statement.actions, parsed, context)
    refuse_unsupported(options)
    check_rows(rows_given="rows" in options, returns_set=function.returns_set)
    settings = changed_settings(function.settings, options.get("changes", ()))
    chosen = {name: options[name] for name in _CHOSEN if name in options}
    changed = replace(function, settings=settings, **chosen)
    CatalogWriter(context.transaction).put_function(changed)
    return UtilityResult(f"ALTER {kind.word.upper()}")


def _own(kind: Kind, node: Any, context: UtilityContext) -> SqlFunction:
    found = find_function(kind, node, context)
    assert isinstance(found, SqlFunction), "nobody owns what is the system's"
    return found


def rename_function_requires(statement: Any, context: UtilityContext) -> Iterator[Requirement]:
    """Yield what RENAME TO needs: to own the function, and a place for the new name."""
    kind, node = _kind(statement, "rename_type"), nodes.inner(statement.object)
    yield _ownership(kind, node, context)
    function = _own(kind, node, context)
    _refuse_taken(function, statement.newname, function.schema, context)
    yield creation_in(context.catalog.schemas[function.schema])


def rename_function(statement: Any, context: UtilityContext) -> UtilityResult:
    """Run a RenameStmt of a function."""
    kind = _kind(statement, "rename_type")
    function = _own(kind, nodes.inner(statement.object), context)
    _move(function, function.schema, statement.newname, context)
    return UtilityResult(f"ALTER {kind.word.upper()}")


def move_requires(statement: Any, context: UtilityContext) -> Iterator[Requirement]:
    """Yield what SET SCHEMA needs: a place in the new schema, and to own the function."""
    kind, node = _kind(statement, "object_type"), nodes.inner(statement.object)
    owned = _ownership(kind, node, context)
    schema = require_schema(context, statement.newschema)
    yield creation_in(schema)
    yield owned
    function = _own(kind, node, context)
    if function.schema != schema.name:
        _refuse_taken(function, function.name, schema.name, context)


def set_function_schema(statement: Any, context: UtilityContext) -> UtilityResult:
    """Run an AlterObjectSchemaStmt of a function."""
    kind = _kind(statement, "object_type")
    function = _own(kind, nodes.inner(statement.object), context)
    _move(function, statement.newschema, function.name, context)
    return UtilityResult(f"ALTER {kind.word.upper()}")


def _move(function: SqlFunction, schema: str, name: str, context: UtilityContext) -> None:
    """Give a function another name or schema."""
    moved = replace(function, schema=schema, name=name)
    put_all(context.catalog, [moved], CatalogWriter(context.transaction))


def _refuse_taken(function: SqlFunction, name: str, schema: str, context: UtilityContext) -> None:
    types = function.argument_types
    for other in context.catalog.functions_named(name):
        if other.schema == schema and other.argument_types == types:
            shown = signature(name, types, context)
            message = f'function {shown} already exists in schema "{schema}"'
            raise SqlError("42723", message)
