"""TRUNCATE, VACUUM and ANALYZE."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from dsql.access.privileges import Privilege
from dsql.access.requirements import Requirement, Told, owner_of, privilege_on
from dsql.catalog.schema import Table
from dsql.catalog.store import CatalogWriter
from dsql.catalog.virtual import VirtualTable
from dsql.ddl import nodes
from dsql.ddl.foreign_keys import refuse_pending_checks
from dsql.ddl.naming import (
    Found,
    find_any,
    missing_relation,
    ownership,
    require_column,
    require_table,
)
from dsql.ddl.removal import give_up, keyspaces_of
from dsql.ddl.result import UtilityContext, UtilityResult
from dsql.ddl.sequences import owned_sequences, restarted
from dsql.errors import SqlError
from dsql.sql.gate import ParsedStatement

_ANALYZE_OPTIONS = frozenset({"verbose", "skip_locked", "buffer_usage_limit"})
_VACUUM_OPTIONS = _ANALYZE_OPTIONS | {
    "analyze", "freeze", "full", "disable_page_skipping", "index_cleanup", "process_main",
    "process_toast", "truncate", "parallel", "skip_database_stats", "only_database_stats",
}  # fmt: skip


def truncate_requires(parsed: ParsedStatement, context: UtilityContext) -> Iterator[Requirement]:
    """Yield what a TruncateStmt needs: TRUNCATE on every table, also those that CASCADE adds."""
    for wrapped in parsed.node.relations:
        table = require_table(context, nodes.inner(wrapped))
        yield privilege_on(table, Privilege.TRUNCATE)
        if parsed.node.restart_seqs:
            yield from map(owner_of, owned_sequences(table, context.catalog))
    result = UtilityResult("")
    for table in _added_by_cascade(parsed.node, context):
        result.notice("00000", f'truncate cascades to table "{table.name}"')
        yield Told(privilege_on(table, Privilege.TRUNCATE), [*result.notices])


def _added_by_cascade(statement: Any, context: UtilityContext) -> Iterator[Table]:
    """Yield the tables that refer to those to be truncated, and to each other, if CASCADE is said."""
    known = {require_table(context, nodes.inner(wrapped)).oid for wrapped in statement.relations}
    waiting = [*known]
    cascade = nodes.enum_name(statement, "behavior") == "DROP_CASCADE"
    while waiting and cascade:
        for child, _ in context.catalog.references.get(waiting.pop(0), ()):
            if child.oid not in known:
                known.add(child.oid)
                waiting.append(child.oid)
                yield child


def _refuse_referenced(tables: Sequence[Table], context: UtilityContext) -> None:
    """Raise SqlError 0A000 for a table that others refer to which are not truncated with it."""
    truncated = {table.oid for table in tables}
    for table in tables:
        for child, _ in context.catalog.references.get(table.oid, ()):
            if child.oid not in truncated:
                raise SqlError(
                    "0A000",
                    "cannot truncate a table referenced in a foreign key constraint",
                    detail=f'Table "{child.name}" references "{table.name}".',
                    hint=f'Truncate table "{child.name}" at the same time, '
                    "or use TRUNCATE ... CASCADE.",
                )


def truncate(statement: Any, context: UtilityContext) -> UtilityResult:
    """Run a TruncateStmt: the table goes on in an empty keyspace."""
    result = UtilityResult("TRUNCATE TABLE")
    named = [require_table(context, nodes.inner(wrapped)) for wrapped in statement.relations]
    tables = list({table.oid: table for table in named}.values())
    for table in _added_by_cascade(statement, context):
        result.notice("00000", f'truncate cascades to table "{table.name}"')
        tables.append(table)
    with result.told():
        _refuse_referenced(tables, context)
    for table in tables:
        writer = CatalogWriter(context.transaction, local=table.is_temporary)
        refuse_pending_checks(table, context, "TRUNCATE")
        writer.put_table(emptied(table, context, writer))
        if statement.restart_seqs:
            for sequence in owned_sequences(table, context.catalog):
                restarted(sequence, context, writer)
    return result


def emptied(table: Table, context: UtilityContext, writer: CatalogWriter) -> Table:
    """Return a table in an empty keyspace, with its indexes; what it had is given up."""
    indexes = tuple(
        index if index.primary else msgspec.structs.replace(index, keyspace=writer.allocate_oid())
        for index in table.indexes
    )
    give_up(context.transaction, keyspaces_of(table), context.statement_timestamp)
    return msgspec.structs.replace(table, keyspace=writer.allocate_oid(), indexes=indexes)


def vacuum(statement: Any, context: UtilityContext) -> UtilityResult:
    """Run a VacuumStmt. Old versions go by themselves: there is nothing to do but to check names.

    What the user does not own is left out, with a warning, so there is nothing that the statement needs.
    """
    result = UtilityResult("VACUUM" if statement.is_vacuumcmd else "ANALYZE")
    verb = result.tag.lower()
    _check_options(statement, result.tag)
    with result.told():
        chosen = [
            (found, nodes.strings(nodes.inner(wrapped).va_cols))
            for wrapped in statement.rels
            if (found := _owned(nodes.inner(wrapped).relation, verb, context, result))
        ]
        for found, columns in chosen:
            if isinstance(found, Table):
                for column in columns:
                    require_column(found, column)
    return result


def _check_options(statement: Any, tag: str) -> None:
    for wrapped in statement.options:
        name = nodes.inner(wrapped).defname
        if name not in (_VACUUM_OPTIONS if statement.is_vacuumcmd else _ANALYZE_OPTIONS):
            raise SqlError("42601", f'unrecognized {tag} option "{name}"')


def _owned(
    relation: Any, verb: str, context: UtilityContext, result: UtilityResult
) -> Found | None:
    """Return a relation that the user, or the database's owner, may have looked after."""
    found = find_any(context, relation)
    if found is None:
        raise missing_relation(relation)
    own = replace(ownership(found), others=(context.catalog.database.owner_oid,))
    is_table = isinstance(found, VirtualTable) or (isinstance(found, Table) and found.kind == "r")
    may = own.is_met(context.authority)
    if may and is_table:
        return found
    message = f'permission denied to {verb} "{own.name}", skipping it'
    if may:
        message = f'skipping "{own.name}" --- cannot {verb} non-tables or special system tables'
    result.notice("01000", message, severity="WARNING")
    return None
