"""Takes dropped objects out of the catalog: rows now, stored rows when no snapshot needs them."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from msgspec.structs import replace

from dsql.catalog.catalog import Catalog
from dsql.catalog.dependencies import (
    PG_CLASS,
    PG_CONSTRAINT,
    PG_NAMESPACE,
    PG_PROC,
    PG_STATISTIC_EXT,
    PG_TYPE,
    Address,
    default_address,
)
from dsql.catalog.jobs import new_job, write_job
from dsql.catalog.schema import Column, CompositeType, Index, Table, UserType
from dsql.catalog.store import CatalogWriter
from dsql.ddl.foreign_keys import refuse_pending_checks
from dsql.ddl.result import UtilityContext
from dsql.encoding.keyspace import is_local_id, prefix
from dsql.transaction.interface import Mode, Transaction


def remove(
    gone: Collection[Address], catalog: Catalog, context: UtilityContext, writer: CatalogWriter
) -> Catalog:
    """Remove objects, and from what stays whatever part of it has gone; return the catalog without."""
    tables = []
    for table in catalog.tables.values():
        if Address(PG_CLASS, table.oid) in gone:
            _remove_table(table, context, writer)
            continue
        left = _without_parts(table, gone, context, writer)
        if left is not table:
            writer.put_table(left)
        tables.append(left)
    for function in catalog.functions.values():
        if Address(PG_PROC, function.oid) in gone:
            writer.drop_function(function)
            catalog = catalog.without_function(function)
    catalog = _without_user_types(_without_domains(catalog, gone, writer), gone, writer)
    schemas = {s.oid: s for s in catalog.schemas.values() if Address(PG_NAMESPACE, s.oid) in gone}
    for default in catalog.default_acls.values():
        if default.schema_oid in schemas:
            writer.drop_default_acl(default)
    for schema in schemas.values():
        writer.drop_schema(schema)
    return catalog.with_tables(tables)


def _without_domains(catalog: Catalog, gone: Collection[Address], writer: CatalogWriter) -> Catalog:
    kept = []
    for domain in catalog.domains.values():
        if Address(PG_TYPE, domain.oid) in gone:
            writer.drop_domain(domain)
            continue
        checks = tuple(c for c in domain.checks if Address(PG_CONSTRAINT, c.oid) not in gone)
        left = domain if checks == domain.checks else replace(domain, checks=checks)
        if left is not domain:
            writer.put_domain(left)
        kept.append(left)
    return catalog.with_domains(kept)


def _without_user_types(
    catalog: Catalog, gone: Collection[Address], writer: CatalogWriter
) -> Catalog:
    kept: list[UserType] = []
    for user_type in catalog.user_types.values():
        if Address(PG_TYPE, user_type.oid) in gone:
            writer.drop_user_type(user_type)
            continue
        left = user_type
        if isinstance(user_type, CompositeType):
            left = _without_attributes(user_type, gone)
        if left is not user_type:
            writer.put_user_type(left)
        kept.append(left)
    return catalog.with_user_types(kept)


def _without_attributes(composite: CompositeType, gone: Collection[Address]) -> CompositeType:
    """Return a composite type without what has gone of its attributes."""
    relation = composite.relation_oid
    lost = [
        each.number
        for each in composite.live_attributes
        if Address(PG_CLASS, relation, each.number) in gone
    ]
    if not lost:
        return composite
    attributes = (
        replace(each, name=f"........pg.dropped.{each.number}........", dropped=True)
        if each.number in lost
        else each
        for each in composite.attributes
    )
    return replace(composite, attributes=tuple(attributes))


def _remove_table(table: Table, context: UtilityContext, writer: CatalogWriter) -> None:
    for index in table.indexes:
        writer.release_name(table.schema, index.name)
    writer.drop_table(table)
    if table.kind == "S":
        forget_rows(context.transaction, [table.keyspace_id])
    elif table.has_rows:
        refuse_pending_checks(table, context, "DROP TABLE")
        give_up(context.transaction, keyspaces_of(table), context.statement_timestamp)


def _without_parts(
    table: Table, gone: Collection[Address], context: UtilityContext, writer: CatalogWriter
) -> Table:
    """Return what is left of a table, itself if that is all of it."""
    lost = [index for index in table.indexes if Address(PG_CLASS, index.oid) in gone]
    for index in lost:
        writer.release_name(table.schema, index.name)
    if lost:
        keyspaces = [index.keyspace_id for index in lost]
        give_up(context.transaction, keyspaces, context.statement_timestamp)
    columns = tuple(_column_left(table, column, gone) for column in table.columns)
    dropped = {column.number for column in columns if column.dropped}
    left = replace(
        table,
        columns=columns,
        indexes=tuple(_index_left(i, dropped) for i in table.indexes if i not in lost),
        checks=tuple(c for c in table.checks if Address(PG_CONSTRAINT, c.oid) not in gone),
        foreign_keys=tuple(
            key for key in table.foreign_keys if Address(PG_CONSTRAINT, key.oid) not in gone
        ),
        statistics=tuple(
            each for each in table.statistics if Address(PG_STATISTIC_EXT, each.oid) not in gone
        ),
        part_comments=tuple(
            comment
            for comment in table.part_comments
            if Address(comment.class_oid, comment.oid, comment.column) not in gone
        ),
    )
    return table if left == table else left


def _column_left(table: Table, column: Column, gone: Collection[Address]) -> Column:
    if column.dropped:
        return column
    if Address(PG_CLASS, table.oid, column.number) in gone:
        # A dropped column keeps its number; its name becomes one that nobody can write.
        name = f"........pg.dropped.{column.number}........"
        return Column(name, column.number, column.type_oid, column.typmod, dropped=True)
    if column.default is not None and default_address(table, column.number) in gone:
        return replace(column, default=None, uses=())
    return column


def _index_left(index: Index, dropped: Collection[int]) -> Index:
    """Return an index without the columns that it included and that have gone."""
    included = tuple(number for number in index.include if number not in dropped)
    return index if included == index.include else replace(index, include=included)


def keyspaces_of(table: Table) -> list[int]:
    """Return the keyspaces that hold a table's rows and index entries."""
    indexes = [index.keyspace_id for index in table.indexes if not index.primary]
    return [table.keyspace_id, *indexes]


def forget_rows(transaction: Transaction, keyspaces: Iterable[int]) -> None:
    """Give up keyspaces that no catalog row refers to from this commit on.

    Storage removes their keys as soon as no older snapshot can need them; those of a temporary table are
    the session's to remove.
    """
    for keyspace in keyspaces:
        transaction.delete(prefix(keyspace), Mode.BLIND)


def give_up(transaction: Transaction, keyspaces: Iterable[int], now: int) -> None:
    """Give up keyspaces as `forget_rows` does, and note it in sys.jobs. `now`: microseconds since 2000.

    Of temporary tables nobody else has to know.
    """
    keyspaces = list(keyspaces)
    forget_rows(transaction, keyspaces)
    if all(map(is_local_id, keyspaces)):
        return
    job = new_job("DROP", now)
    job.status, job.update_time = "completed", now
    write_job(transaction, job)
