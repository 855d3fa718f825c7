"""DROP FUNCTION and DROP ROUTINE, whose names come with the types of arguments."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from dsql.access.privileges import Kind
from dsql.access.requirements import NOBODY, Ownership, Requirement, Told
from dsql.catalog.dependencies import PG_PROC, Address
from dsql.catalog.schema import SqlFunction
from dsql.catalog.store import CatalogWriter
from dsql.ddl import nodes
from dsql.ddl.cascade import all_dropped
from dsql.ddl.function_names import Found, find_function, skipped_function_text
from dsql.ddl.removal import remove
from dsql.ddl.result import UtilityContext, UtilityResult
from dsql.errors import SqlError

DROPPED_BY_SIGNATURE = {"OBJECT_FUNCTION": Kind.FUNCTION, "OBJECT_ROUTINE": Kind.ROUTINE}
_MISSING = ("42883", "42704", "3F000")


def drop_function_requires(statement: Any, context: UtilityContext) -> Iterator[Requirement]:
    """Yield what a DropStmt of functions needs: to own them, or their schemas."""
    result = UtilityResult("")
    for node in map(nodes.inner, statement.objects):
        found = _find(statement, node, context, result)
        if found is not None:
            name = ".".join(nodes.strings(node.objname))
            kind = DROPPED_BY_SIGNATURE[nodes.enum_name(statement, "remove_type")]
            owned = replace(own_function(found, context, name), kind=kind)
            yield Told(owned, result.notices)


def own_function(
    found: Found, context: UtilityContext, name: str, *, or_schema: bool = True
) -> Ownership:
    """Return what changing a function takes, dropping it: to own it `or_schema`.

    `name` is what it is called by who lacks that. The system's belong to nobody who logs in.
    """
    if not isinstance(found, SqlFunction):
        return Ownership(Kind.FUNCTION, name, NOBODY)
    others = (context.catalog.schemas[found.schema].owner_oid,) if or_schema else ()
    return Ownership(Kind.FUNCTION, name, found.owner_oid, others)


def drop_function(statement: Any, context: UtilityContext) -> UtilityResult:
    """Run a DropStmt of functions."""
    kind = DROPPED_BY_SIGNATURE[nodes.enum_name(statement, "remove_type")]
    result = UtilityResult(f"DROP {kind.word.upper()}")
    cascade = nodes.enum_name(statement, "behavior") == "DROP_CASCADE"
    with result.told():
        found = [_find(statement, nodes.inner(each), context, result) for each in statement.objects]
        targets = dict.fromkeys(
            Address(PG_PROC, function.oid) for function in found if function is not None
        )
        gone = all_dropped(list(targets), context.catalog, context, result, cascade=cascade)
    remove(gone, context.catalog, context, CatalogWriter(context.transaction))
    return result


def _find(
    statement: Any, node: Any, context: UtilityContext, result: UtilityResult
) -> Found | None:
    kind = DROPPED_BY_SIGNATURE[nodes.enum_name(statement, "remove_type")]
    try:
        with result.told():
            return find_function(kind, node, context)
    except SqlError as error:
        if not statement.missing_ok or error.sqlstate not in _MISSING:
            raise
        text = skipped_function_text(kind.word, node, error)
        result.notice("00000", f"{text}, skipping")
        return None
