"""What tells PostgreSQL how to lay out or replicate a table, for which there is nothing to do here.

Names and rights are checked as there. Storage keeps rows in the order of the primary key, indexes need no
rebuilding, and no value is compressed or logically decoded.
"""

from __future__ import annotations

from typing import Any

from dsql.access.authorize import check
from dsql.access.requirements import owner_of_schema
from dsql.catalog.schema import Index, Table
from dsql.ddl import nodes
from dsql.ddl.alteration import Alteration
from dsql.ddl.lacking_rights import found_relation, owned_relation, owner_of_database
from dsql.ddl.naming import Found, changeable_column, ownership, require_schema
from dsql.ddl.result import UtilityContext, UtilityResult
from dsql.errors import SqlError

_STATISTICS_TARGET_MAX = 10_000


def reindex(statement: Any, context: UtilityContext) -> UtilityResult:
    """Run a ReindexStmt. Raises SqlError 42P01, 3F000, 42501, 42809; 0A000 if an index is not valid."""
    match nodes.enum_name(statement, "kind"):
        case "REINDEX_OBJECT_SCHEMA":
            check(owner_of_schema(require_schema(context, statement.name)), context.authority)
        case "REINDEX_OBJECT_INDEX" | "REINDEX_OBJECT_TABLE" as kind:
            found, name = found_relation(statement.relation, context), statement.relation.relname
            if kind == "REINDEX_OBJECT_INDEX" and not isinstance(found, tuple):
                raise SqlError("42809", f'"{name}" is not an index')
            if kind == "REINDEX_OBJECT_TABLE":
                _refuse_other_kinds(found, name)
            check(ownership(found), context.authority)
            _refuse_invalid(_indexes(found))
        case _:
            check(owner_of_database(context.catalog.database), context.authority)
    return UtilityResult("REINDEX")


def _refuse_invalid(indexes: tuple[Index, ...]) -> None:
    for index in indexes:
        if not index.valid:
            raise SqlError(
                "0A000",
                f'REINDEX of index "{index.name}", which is not valid, is not supported',
                hint="Wait for its build, or drop it and create it again.",
            )


def _indexes(found: Found) -> tuple[Index, ...]:
    match found:
        case (_, Index() as index):
            return (index,)
        case Table():
            return found.indexes
    return ()


def cluster(statement: Any, context: UtilityContext) -> UtilityResult:
    """Run a ClusterStmt. Raises SqlError 42P01, 3F000, 42501, 42809, 42704."""
    name = statement.relation.relname
    if name:
        found = owned_relation(statement.relation, context)
        _refuse_other_kinds(found, name)
        if isinstance(found, Table):
            if not statement.indexname:
                message = f'there is no previously clustered index for table "{name}"'
                raise SqlError("42704", message)
            _index(found, statement.indexname)
    return UtilityResult("CLUSTER")


def _refuse_other_kinds(found: Found, name: str) -> None:
    if isinstance(found, tuple) or (isinstance(found, Table) and not found.has_rows):
        raise SqlError("42809", f'"{name}" is not a table or materialized view')


def cluster_on(alteration: Alteration, table: Table, command: Any) -> Table:
    """CLUSTER ON index."""
    del alteration
    _index(table, command.name)
    return table


def replica_identity(alteration: Alteration, table: Table, command: Any) -> Table:
    """REPLICA IDENTITY { DEFAULT | USING INDEX index | FULL | NOTHING }."""
    del alteration
    name = getattr(command, "def").replica_identity_stmt.name
    if name:
        index = _index(table, name)
        if not index.unique:
            raise _no_identity("non-unique", name)
        if index.predicate:
            raise _no_identity("partial", name)
        for part in index.columns:
            if part.column_number and not table.columns[part.column_number - 1].not_null:
                message = f'index "{name}" cannot be used as replica identity because column'
                raise SqlError(
                    "42809", f'{message} "{table.columns[part.column_number - 1].name}" is nullable'
                )
    return table


def _no_identity(kind: str, name: str) -> SqlError:
    return SqlError("42809", f'cannot use {kind} index "{name}" as replica identity')


def set_statistics(alteration: Alteration, table: Table, command: Any) -> Table:
    """ALTER COLUMN column SET STATISTICS target."""
    changeable_column(table, command.name)
    target = getattr(command, "def").integer.ival
    if target < -1:
        raise SqlError("22023", f"statistics target {target} is too low")
    if target > _STATISTICS_TARGET_MAX:
        message = f"lowering statistics target to {_STATISTICS_TARGET_MAX}"
        alteration.result.notice("22023", message, severity="WARNING")
    return table


def set_storage(alteration: Alteration, table: Table, command: Any) -> Table:
    """ALTER COLUMN column SET STORAGE: no value is stored otherwise for it."""
    del alteration
    changeable_column(table, command.name)
    return table


def set_tablespace(alteration: Alteration, table: Table, command: Any) -> Table:
    """SET TABLESPACE: there is one."""
    del alteration
    if command.name == "pg_global":
        message = "only shared relations can be placed in pg_global tablespace"
        raise SqlError("22023", message)
    if command.name != "pg_default":
        raise SqlError("42704", f'tablespace "{command.name}" does not exist')
    return table


def set_logged(alteration: Alteration, table: Table, command: Any) -> Table:
    """SET LOGGED and SET UNLOGGED; unlogged tables are ordinary ones."""
    del alteration, command
    if table.is_temporary:
        message = f'cannot change logged status of table "{table.name}" because it is temporary'
        raise SqlError("42P16", message)
    return table


def _index(table: Table, name: str) -> Index:
    for index in table.indexes:
        if index.name == name:
            return index
    raise SqlError("42704", f'index "{name}" for table "{table.name}" does not exist')
