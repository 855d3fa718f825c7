"""TRUNCATE, VACUUM and ANALYZE."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from dsql.catalog.store import CatalogWriter
from dsql.ddl import nodes
from dsql.ddl.drop import give_up, keyspaces_of
from dsql.ddl.naming import require_table
from dsql.ddl.result import UtilityContext, UtilityResult


def truncate(statement: Any, context: UtilityContext) -> UtilityResult:
    """Run a TruncateStmt: the table goes on in an empty keyspace."""
    writer = CatalogWriter(context.transaction)
    for wrapped in statement.relations:
        table = require_table(context, nodes.inner(wrapped))
        indexes = tuple(
            index if index.primary else replace(index, keyspace=writer.allocate_oid())
            for index in table.indexes
        )
        writer.put_table(replace(table, keyspace=writer.allocate_oid(), indexes=indexes))
        give_up(context.transaction, keyspaces_of(table), context.statement_timestamp)
    return UtilityResult("TRUNCATE TABLE")


def vacuum(statement: Any, context: UtilityContext) -> UtilityResult:
    """Run a VacuumStmt. Old versions go by themselves, so there is nothing to do but to check names."""
    for wrapped in statement.rels:
        require_table(context, nodes.inner(wrapped).relation)
    return UtilityResult("VACUUM" if statement.is_vacuumcmd else "ANALYZE")
