"""DROP TABLE, INDEX and SCHEMA: the catalog rows go now, the stored rows when no snapshot needs them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import msgspec

from dsql.access.requirements import (
    Ownership,
    Requirement,
    Told,
    owner_of_index,
    owner_of_schema,
)
from dsql.catalog.jobs import new_job, write_job
from dsql.catalog.schema import FIRST_USER_OID, Index, Schema, Table
from dsql.catalog.store import CatalogWriter
from dsql.catalog.virtual import VirtualTable
from dsql.ddl import nodes
from dsql.ddl.cascade import announce
from dsql.ddl.lacking import drop_of_nothing
from dsql.ddl.naming import (
    KIND_NAMES,
    find_index,
    ownership,
    schemas_to_search,
    wrong_kind,
)
from dsql.ddl.result import UtilityContext, UtilityResult
from dsql.ddl.role_dependencies import described, shown_name
from dsql.encoding.keyspace import prefix
from dsql.errors import SqlError, unsupported
from dsql.sql.gate import ParsedStatement
from dsql.transaction.interface import Mode, Transaction


class _Target(NamedTuple):
    """A kind of object that can be dropped.

    `find` looks one up by the parts of its name, None: there is none; `need` is what dropping it takes.
    """

    word: str
    missing: str  # SQLSTATE
    find: Callable[[UtilityContext, list[str]], Any]
    need: Callable[[UtilityContext, Any], Requirement]
    remove: Callable[[Any, UtilityContext, CatalogWriter], None]


def drop_requires(parsed: ParsedStatement, context: UtilityContext) -> Iterator[Requirement]:
    """Yield what a DropStmt needs. Raises what is wrong with a name, and 3F000 for its schema."""
    statement = parsed.node
    target = _target(statement)
    if target is None:
        return
    if statement.concurrent:
        raise unsupported("CONCURRENTLY not supported for DROP INDEX")
    result = UtilityResult("")
    for names in map(_name_parts, statement.objects):
        with result.told():
            found = _find(target, names, context, missing_ok=statement.missing_ok)
        if found is not None:
            yield Told(target.need(context, found), result.notices)
        else:
            _skip(target, names, context, result)


def drop(statement: Any, context: UtilityContext) -> UtilityResult:
    """Run a DropStmt."""
    target = _target(statement)
    if target is None:
        return drop_of_nothing(statement, context)
    result = UtilityResult(f"DROP {target.word}")
    writer = CatalogWriter(context.transaction)
    cascade = nodes.enum_name(statement, "behavior") == "DROP_CASCADE"
    targets = []
    with result.told():
        for names in map(_name_parts, statement.objects):
            found = _find(target, names, context, missing_ok=True)
            if found is None:
                _skip(target, names, context, result)
            elif found not in targets:
                targets.append(found)
        schemas = [each for each in targets if isinstance(each, Schema)]
        tables = [table for schema in schemas for table in _members(schema, context)]
        announce(tables, schemas, context, result, cascade=cascade)
        for found in targets:
            target.remove(found, context, writer)
    return result


def _target(statement: Any) -> _Target | None:
    return _TARGETS.get(nodes.enum_name(statement, "remove_type"))


def _name_parts(item: Any) -> list[str]:
    if nodes.kind(item) == "list":
        return nodes.strings(item.list.items)
    return [nodes.inner(item).sval]


def _find(target: _Target, names: list[str], context: UtilityContext, *, missing_ok: bool) -> Any:
    """Return the object of a name, None if there is none and that is no fault."""
    known = len(names) < 2 or names[-2] in context.catalog.schemas
    found = target.find(context, names) if known else None
    if found is None and not missing_ok:
        code = target.missing if known else "3F000"
        raise SqlError(code, _missing_text(target, names, context))
    return found


def _skip(
    target: _Target, names: list[str], context: UtilityContext, result: UtilityResult
) -> None:
    result.notice("00000", f"{_missing_text(target, names, context)}, skipping")


def _missing_text(target: _Target, names: list[str], context: UtilityContext) -> str:
    if len(names) > 1 and names[-2] not in context.catalog.schemas:
        return f'schema "{names[-2]}" does not exist'
    return f'{target.word.lower()} "{names[-1]}" does not exist'


def _qualified(names: list[str]) -> tuple[str, str]:
    """Return a relation's name as (schema or "", name)."""
    return names[-2] if len(names) > 1 else "", names[-1]


def _find_table(context: UtilityContext, names: list[str]) -> Table | VirtualTable | None:
    schema, name = _qualified(names)
    schemas_to_search(context, schema)
    found = context.catalog.find_relation(schema or None, name, context.search_path)
    kind = found.kind if isinstance(found, Table) else "r"
    if found is None and find_index(context, schema, name):
        kind = "i"
    if kind != "r":
        raise wrong_kind(name, "table", KIND_NAMES[kind])
    return found


def _find_index(context: UtilityContext, names: list[str]) -> tuple[Table, Index] | None:
    schema, name = _qualified(names)
    found = find_index(context, schema, name)
    if found is None:
        other = context.catalog.find_relation(schema or None, name, context.search_path)
        if other is not None:
            kind = other.kind if isinstance(other, Table) else "r"
            raise wrong_kind(name, "index", KIND_NAMES[kind])
    return found


def _find_schema(context: UtilityContext, names: list[str]) -> Schema | None:
    return context.catalog.schemas.get(names[-1])


def _own_table(context: UtilityContext, found: Table | VirtualTable) -> Requirement:
    own = ownership(found)
    return (
        own if isinstance(found, VirtualTable) else _or_owner_of_schema(context, own, found.schema)
    )


def _own_index(context: UtilityContext, found: tuple[Table, Index]) -> Requirement:
    return _or_owner_of_schema(context, owner_of_index(*found), found[0].schema)


def _own_schema(context: UtilityContext, found: Schema) -> Requirement:
    del context
    return owner_of_schema(found)


def _or_owner_of_schema(context: UtilityContext, own: Ownership, schema: str) -> Ownership:
    """A schema's owner may drop what others have made in it."""
    return replace(own, others=(context.catalog.schemas[schema].owner_oid,))


def _drop_table(
    found: Table | VirtualTable, context: UtilityContext, writer: CatalogWriter
) -> None:
    assert isinstance(found, Table), "nobody owns a table of the system"
    remove_table(found, context, writer)


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


def _drop_index(found: tuple[Table, Index], context: UtilityContext, writer: CatalogWriter) -> None:
    table, index = found
    if index.constraint is not None:
        shown = described(table, context.catalog, context.search_path)
        name = shown_name((table.schema, index.name), context.catalog, context.search_path)
        raise SqlError(
            "2BP01",
            f"cannot drop index {name} because constraint {index.constraint} on {shown} requires it",
            hint=f"You can drop constraint {index.constraint} on {shown} instead.",
        )
    remove_index(table, index, context, writer)


def remove_index(
    table: Table, index: Index, context: UtilityContext, writer: CatalogWriter
) -> Table:
    """Take an index off its table, and return the table."""
    writer.release_name(table.schema, index.name)
    rest = tuple(other for other in table.indexes if other.oid != index.oid)
    give_up(context.transaction, [index.keyspace_id], context.statement_timestamp)
    return writer.put_table(msgspec.structs.replace(table, indexes=rest))


def _members(schema: Schema, context: UtilityContext) -> Iterator[Table]:
    """Yield what goes along with a schema: nothing with those of the system, which nobody drops."""
    if schema.oid >= FIRST_USER_OID:
        yield from context.catalog.tables_in(schema.name)


def _drop_schema(schema: Schema, context: UtilityContext, writer: CatalogWriter) -> None:
    if schema.oid < FIRST_USER_OID:
        raise owner_of_schema(schema).error()
    for table in context.catalog.tables_in(schema.name):
        remove_table(table, context, writer)
    for default in context.catalog.default_acls.values():
        if default.schema_oid == schema.oid:
            writer.drop_default_acl(default)
    writer.drop_schema(schema)


_TARGETS = {
    "OBJECT_TABLE": _Target("TABLE", "42P01", _find_table, _own_table, _drop_table),
    "OBJECT_INDEX": _Target("INDEX", "42704", _find_index, _own_index, _drop_index),
    "OBJECT_SCHEMA": _Target("SCHEMA", "3F000", _find_schema, _own_schema, _drop_schema),
}
