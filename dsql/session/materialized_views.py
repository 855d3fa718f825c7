"""CREATE and REFRESH MATERIALIZED VIEW (postgres profile): a relation with a query and its rows of once.

A refresh computes the rows in its own transaction, with the rights of the owner, into an empty keyspace,
which takes the place of the old one when it commits; so readers have the old rows until then and never
wait. One transaction bounds the rows, as in CREATE TABLE AS. CONCURRENTLY has nothing to do differently.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from dsql.access.requirements import Requirement
from dsql.catalog.schema import Column, OnCommit, Table
from dsql.catalog.store import CatalogWriter
from dsql.ddl.column import ColumnSource, StatementExpressions
from dsql.ddl.create_table import make_table
from dsql.ddl.maintenance import emptied
from dsql.ddl.naming import (
    column_names,
    find_any,
    is_taken,
    owned_relation,
    relation_creation,
    relation_schema,
    require_table,
)
from dsql.ddl.nodes import inner, kind, strings
from dsql.ddl.result import UtilityResult
from dsql.ddl.storage_options import read_storage_option
from dsql.ddl.view_options import set_options
from dsql.encoding.keyspace import is_local_id
from dsql.errors import SqlError, unsupported
from dsql.limits import VIEW_BYTES_MAX
from dsql.session.pipeline import compile_filling
from dsql.session.state import SessionState
from dsql.sql.gate import ParsedStatement, parse_statement
from dsql.sql.libpg_query import grammar as pg
from dsql.sql.views import ViewDefinition, bind_definition, output_columns
from dsql.types import registry
from dsql.types.identifier import quote_identifier


def is_materialized(node: Any) -> bool:
    """Tell whether a CreateTableAsStmt makes a materialized view."""
    return bool(node.objtype == pg.OBJECT_MATVIEW)


def create_materialized_view_requires(
    parsed: ParsedStatement, state: SessionState
) -> Iterator[Requirement]:
    """Yield what CREATE MATERIALIZED VIEW needs: a place in the schema. Raises what is wrong with it."""
    if not _is_skipped(parsed, state):
        _columns(parsed, _definition(parsed, state))
    yield relation_creation(state.context, parsed.node.into.rel)


def create_materialized_view(parsed: ParsedStatement, state: SessionState) -> UtilityResult:
    """Run CREATE MATERIALIZED VIEW. Raises SqlError 42P07, 42601, 42701, 42P16, 54000, and its query's."""
    into = parsed.node.into
    if _is_skipped(parsed, state):
        result = UtilityResult("CREATE MATERIALIZED VIEW")
        result.notice("42P07", f'relation "{into.rel.relname}" already exists, skipping')
        return result
    state.block.note_ddl("CREATE MATERIALIZED VIEW")
    try:
        view = _make(parsed, state)
    finally:
        state.block.forget_catalog()
    if into.skip_data:
        return UtilityResult("CREATE MATERIALIZED VIEW")
    return UtilityResult(f"SELECT {_fill(view, state)}")


def refresh_requires(parsed: ParsedStatement, state: SessionState) -> Iterator[Requirement]:
    """Yield what REFRESH MATERIALIZED VIEW needs: to own it. Raises SqlError 0A000, 42601, 55000."""
    node, context = parsed.node, state.context
    if node.concurrent and node.skip_data:
        message = "CONCURRENTLY and WITH NO DATA options cannot be used together"
        raise SqlError("42601", message)
    yield from owned_relation(context, node)
    found = find_any(context, node.relation)
    if not isinstance(found, Table) or found.kind != "m":
        raise SqlError("0A000", f'"{node.relation.relname}" is not a materialized view')
    if node.concurrent:
        _check_concurrent(found)


def refresh_materialized_view(parsed: ParsedStatement, state: SessionState) -> UtilityResult:
    """Run REFRESH MATERIALIZED VIEW."""
    context = state.context
    view = require_table(context, parsed.node.relation, "m")
    writer = CatalogWriter(context.transaction)
    state.block.note_ddl("REFRESH MATERIALIZED VIEW")
    try:
        empty = emptied(view, context, writer)
        writer.put_table(replace(empty, populated=not parsed.node.skip_data))
    finally:
        state.block.forget_catalog()
    if not parsed.node.skip_data:
        _fill(view, state)
    return UtilityResult("REFRESH MATERIALIZED VIEW")


def _check_concurrent(view: Table) -> None:
    """Raise SqlError 0A000 or 55000 if PostgreSQL could not compare the new rows with the old ones."""
    if not view.populated:
        message = "CONCURRENTLY cannot be used when the materialized view is not populated"
        raise SqlError("0A000", message)
    if not any(_tells_rows_apart(index) for index in view.indexes):
        name = f"{quote_identifier(view.schema)}.{quote_identifier(view.name)}"
        raise SqlError(
            "55000",
            f'cannot refresh materialized view "{name}" concurrently',
            hint="Create a unique index with no WHERE clause on one or more columns of the"
            " materialized view.",
        )


def _tells_rows_apart(index: Any) -> bool:
    columns = all(part.column_number for part in index.columns)
    return bool(index.unique and columns and index.predicate is None)


def _is_skipped(parsed: ParsedStatement, state: SessionState) -> bool:
    node = parsed.node
    return bool(node.if_not_exists) and is_taken(state.context, node.into.rel)


def _definition(parsed: ParsedStatement, state: SessionState) -> ViewDefinition:
    """Return the bound query. Raises SqlError 0A000 for one that is not to be kept."""
    node, context = parsed.node, state.context
    if kind(node.query) != "select_stmt":
        raise unsupported("materialized views must be defined by SELECT or VALUES")
    ctes = inner(node.query).with_clause.ctes
    if any(kind(inner(cte).ctequery) != "select_stmt" for cte in ctes):
        message = "materialized views must not use data-modifying statements in WITH"
        raise unsupported(message)
    definition = bind_definition(
        parsed, context.catalog, context.search_path, context.settings, context.authority
    )
    if any(is_local_id(use.oid) for use in definition.uses):
        raise unsupported("materialized views must not use temporary tables or views")
    return definition


def _columns(parsed: ParsedStatement, definition: ViewDefinition) -> list[Column]:
    """Return the columns. Raises SqlError 42601, 42701, 42P16."""
    found = output_columns(definition.query)
    names = column_names(strings(parsed.node.into.col_names), [name for name, _, _ in found])
    columns = []
    for number, (name, (_, type_oid, typmod)) in enumerate(zip(names, found, strict=True), 1):
        known = registry.get(type_oid)
        if known.kind == "p":
            raise SqlError("42P16", f'column "{name}" has pseudo-type {known.sql_name}')
        if name in names[: number - 1]:
            raise SqlError("42701", f'column "{name}" specified more than once')
        columns.append(Column(name, number, type_oid, typmod))
    return columns


def _make(parsed: ParsedStatement, state: SessionState) -> Table:
    """Write and return the view without rows."""
    into, context = parsed.node.into, state.context
    if into.table_space_name:
        raise unsupported("TABLESPACE not supported for CREATE MATERIALIZED VIEW")
    definition = _definition(parsed, state)
    columns = _columns(parsed, definition)
    text = definition.text(context.catalog, [column.name for column in columns])
    if len(text.encode()) > VIEW_BYTES_MAX:
        raise SqlError("54000", "view definition too large")
    expressions = StatementExpressions(parsed, context)
    sources = [
        ColumnSource(column.name, *expressions.usable_type(column.type_oid, column.typmod))
        for column in columns
    ]
    schema = relation_schema(context, into.rel)
    name = into.rel.relname
    table = make_table(context, expressions, schema, name, sources, OnCommit.PRESERVE)
    view = replace(
        table,
        kind="m",
        view_definition=text,
        uses=definition.uses,
        options=set_options((), into.options, read_storage_option),
        populated=not into.skip_data,
    )
    CatalogWriter(context.transaction).put_table(view)
    return view


def _fill(view: Table, state: SessionState) -> int:
    """Run the query into its empty view as the owner; return the number of rows."""
    target = f"{quote_identifier(view.schema)}.{quote_identifier(view.name)}"
    filling = parse_statement(f"INSERT INTO {target} {view.view_definition}")
    with state.settings.within(view.owner_oid, ()):
        query = compile_filling(filling, state.context.standpoint, state.settings)
        state.block.use(query)
        return query.program.emit(state.context, (), bytearray(), ())
