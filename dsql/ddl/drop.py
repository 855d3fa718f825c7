"""DROP TABLE, INDEX and SCHEMA: the catalog rows go now, the stored rows when no snapshot needs them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from dsql.catalog.jobs import new_job, write_job
from dsql.catalog.schema import Index, Table
from dsql.catalog.store import CatalogWriter
from dsql.ddl import nodes
from dsql.ddl.naming import KIND_NAMES
from dsql.ddl.result import UtilityContext, UtilityResult
from dsql.encoding.keyspace import prefix
from dsql.errors import SqlError, unsupported
from dsql.transaction.interface import Mode, Transaction


def drop(statement: Any, context: UtilityContext) -> UtilityResult:
    """Run a DropStmt."""
    match nodes.enum_name(statement, "remove_type"):
        case "OBJECT_TABLE":
            return _each(statement, context, "TABLE", _drop_table)
        case "OBJECT_INDEX":
            return _each(statement, context, "INDEX", _drop_index)
        case "OBJECT_SCHEMA":
            return _each(statement, context, "SCHEMA", _drop_schema)
        case other:
            raise unsupported(
                f"unsupported object in DROP statement: {other.removeprefix('OBJECT_')}"
            )


def _each(statement: Any, context: UtilityContext, word: str, drop_one: Any) -> UtilityResult:
    result = UtilityResult(f"DROP {word}")
    if statement.concurrent:
        raise unsupported("CONCURRENTLY not supported for DROP INDEX")
    writer = CatalogWriter(context.transaction)
    cascade = nodes.enum_name(statement, "behavior") == "DROP_CASCADE"
    for item in statement.objects:
        names = _qualified(item)
        if not drop_one(names, cascade, context, writer):
            missing = f'{word.lower()} "{".".join(names)}" does not exist'
            if not statement.missing_ok:
                raise SqlError("3F000" if word == "SCHEMA" else _missing_code(word), missing)
            result.notice("00000", f"{missing}, skipping")
    return result


def _missing_code(word: str) -> str:
    return "42704" if word == "INDEX" else "42P01"


def _qualified(item: Any) -> list[str]:
    if nodes.kind(item) == "list":
        return nodes.strings(item.list.items)
    return [nodes.inner(item).sval]


def _drop_table(
    names: list[str], cascade: bool, context: UtilityContext, writer: CatalogWriter
) -> bool:
    del cascade  # nothing can depend on a table yet
    schema = names[-2] if len(names) > 1 else None
    found = context.catalog.find_relation(schema, names[-1], context.search_path)
    if found is None:
        return False
    if not isinstance(found, Table):
        raise SqlError("42501", f'permission denied: "{found.name}" is a system catalog')
    if found.kind != "r":
        word = KIND_NAMES[found.kind]
        raise SqlError(
            "42809",
            f'"{found.name}" is not a table',
            hint=f"Use DROP {word.upper()} to remove a {word}.",
        )
    remove_table(found, context, writer)
    return True


def remove_table(table: Table, context: UtilityContext, writer: CatalogWriter) -> None:
    """Take a table out of the catalog and give up its keyspaces."""
    for index in table.indexes:
        writer.release_name(table.schema, index.name)
    writer.drop_table(table)
    give_up(context.transaction, keyspaces_of(table), context.statement_timestamp)


def keyspaces_of(table: Table) -> list[int]:
    """Return the keyspaces that hold a table's rows and index entries."""
    indexes = [index.keyspace_id for index in table.indexes if not index.primary]
    return [table.keyspace_id, *indexes]


def give_up(transaction: Transaction, keyspaces: Iterable[int], now: int) -> None:
    """Give up keyspaces that no catalog row refers to from this commit on, and note it in sys.jobs.

    Storage removes their keys as soon as no older snapshot can need them. `now`: microseconds since 2000.
    """
    for keyspace in keyspaces:
        transaction.delete(prefix(keyspace), Mode.BLIND)
    job = new_job("DROP", now)
    job.status, job.update_time = "completed", now
    write_job(transaction, job)


def find_index(context: UtilityContext, names: list[str]) -> tuple[Table, Index] | None:
    """Return an index and its table by the index's (possibly qualified) name."""
    schemas = [names[-2]] if len(names) > 1 else list(context.search_path)
    for schema in schemas:
        for table in context.catalog.tables.values():
            if table.schema == schema:
                for index in table.indexes:
                    if index.name == names[-1]:
                        return table, index
    return None


def _drop_index(
    names: list[str], cascade: bool, context: UtilityContext, writer: CatalogWriter
) -> bool:
    del cascade
    found = find_index(context, names)
    if found is None:
        return False
    table, index = found
    if index.constraint is not None:
        raise SqlError(
            "2BP01",
            f"cannot drop index {index.name} because constraint {index.constraint} on table "
            f"{table.name} requires it",
            hint=f"You can drop constraint {index.constraint} on table {table.name} instead.",
        )
    remove_index(table, index, context, writer)
    return True


def remove_index(
    table: Table, index: Index, context: UtilityContext, writer: CatalogWriter
) -> Table:
    """Take an index off its table, and return the table."""
    writer.release_name(table.schema, index.name)
    rest = tuple(other for other in table.indexes if other.oid != index.oid)
    give_up(context.transaction, [index.keyspace_id], context.statement_timestamp)
    return writer.put_table(replace(table, indexes=rest))


def _drop_schema(
    names: list[str], cascade: bool, context: UtilityContext, writer: CatalogWriter
) -> bool:
    schema = context.catalog.schemas.get(names[-1])
    if schema is None:
        return False
    if schema.oid < 16_384:
        raise SqlError("42501", f"must be owner of schema {schema.name}")
    members = [table for table in context.catalog.tables.values() if table.schema == schema.name]
    if members and not cascade:
        raise SqlError(
            "2BP01",
            f"cannot drop schema {schema.name} because other objects depend on it",
            detail="\n".join(
                f"{KIND_NAMES[table.kind]} {table.schema}.{table.name} depends on schema {schema.name}"
                for table in members
            ),
            hint="Use DROP ... CASCADE to drop the dependent objects too.",
        )
    for table in members:
        remove_table(table, context, writer)
    for default in context.catalog.default_acls.values():
        if default.schema_oid == schema.oid:
            writer.drop_default_acl(default)
    writer.drop_schema(schema)
    return True
