"""TRUNCATE, VACUUM and ANALYZE."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec

from dsql.access.privileges import Privilege
from dsql.access.requirements import Requirement, privilege_on
from dsql.catalog.store import CatalogWriter
from dsql.ddl import nodes
from dsql.ddl.drop import give_up, keyspaces_of
from dsql.ddl.naming import Found, find_any, missing_relation, ownership, require_table
from dsql.ddl.result import UtilityContext, UtilityResult
from dsql.sql.gate import ParsedStatement


def truncate_requires(parsed: ParsedStatement, context: UtilityContext) -> Iterator[Requirement]:
    """Yield what a TruncateStmt needs: TRUNCATE on every table."""
    for wrapped in parsed.node.relations:
        table = require_table(context, nodes.inner(wrapped))
        yield privilege_on(table, Privilege.TRUNCATE)


def truncate(statement: Any, context: UtilityContext) -> UtilityResult:
    """Run a TruncateStmt: the table goes on in an empty keyspace."""
    writer = CatalogWriter(context.transaction)
    for wrapped in statement.relations:
        table = require_table(context, nodes.inner(wrapped))
        indexes = tuple(
            index
            if index.primary
            else msgspec.structs.replace(index, keyspace=writer.allocate_oid())
            for index in table.indexes
        )
        writer.put_table(
            msgspec.structs.replace(table, keyspace=writer.allocate_oid(), indexes=indexes)
        )
        give_up(context.transaction, keyspaces_of(table), context.statement_timestamp)
    return UtilityResult("TRUNCATE TABLE")


def vacuum_requires(parsed: ParsedStatement, context: UtilityContext) -> Iterator[Requirement]:
    """Yield nothing: a VacuumStmt leaves out what the user does not own, with a warning."""
    for wrapped in parsed.node.rels:
        _vacuumed(context, nodes.inner(wrapped).relation)
    return iter(())


def _vacuumed(context: UtilityContext, relation: Any) -> Found:
    found = find_any(context, relation)
    if found is None:
        raise missing_relation(relation)
    return found


def vacuum(statement: Any, context: UtilityContext) -> UtilityResult:
    """Run a VacuumStmt. Old versions go by themselves: there is nothing to do but to check names."""
    result = UtilityResult("VACUUM" if statement.is_vacuumcmd else "ANALYZE")
    verb = result.tag.lower()
    for wrapped in statement.rels:
        named = nodes.inner(wrapped)
        found = _vacuumed(context, named.relation)
        own = replace(ownership(found), others=(context.catalog.database.owner_oid,))
        if not own.is_met(context.authority):
            owners = "table or database owner"
            message = f'skipping "{own.name}" --- only {owners} can {verb} it'
            result.notice("01000", message, severity="WARNING")
    return result
