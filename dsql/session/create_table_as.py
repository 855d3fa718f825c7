"""CREATE TABLE AS and SELECT INTO (postgres profile): a table with the columns of a query, and its rows.

Table and rows are one transaction's, which bounds them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from dsql.access.requirements import Requirement
from dsql.catalog.schema import Table
from dsql.ddl.column import ColumnSource, StatementExpressions
from dsql.ddl.create_table import make_table, read_on_commit
from dsql.ddl.lacking_statements import check_place
from dsql.ddl.naming import column_names, is_taken, relation_creation, relation_schema
from dsql.ddl.nodes import enum_name, inner, strings
from dsql.ddl.result import UtilityResult
from dsql.errors import SqlError, unsupported
from dsql.executor.program import OutputColumn
from dsql.session.compiled import CompiledQuery
from dsql.session.materialized_views import (
    create_materialized_view,
    create_materialized_view_requires,
    is_materialized,
)
from dsql.session.pipeline import QUERIES, compile_filling, compile_query, describe_query
from dsql.session.prepared import find_statement
from dsql.session.state import SessionState
from dsql.sql.gate import ParsedStatement
from dsql.sql.libpg_query import grammar as pg
from dsql.types import registry


def create_table_as_requires(parsed: ParsedStatement, state: SessionState) -> Iterator[Requirement]:
    """Yield what a CreateTableAsStmt needs: what its query does, then a place in the schema."""
    if is_materialized(parsed.node):
        yield from create_materialized_view_requires(parsed, state)
        return
    if _is_skipped(parsed, state) or parsed.node.into.skip_data:
        describe_query(_query(parsed, state), None, state.context.standpoint, state.settings)
    else:
        _source(parsed, state)
    yield relation_creation(state.context, parsed.node.into.rel)


def create_table_as(parsed: ParsedStatement, state: SessionState) -> UtilityResult:
    """Run a CreateTableAsStmt. Raises SqlError 42P07, 42601, 42701, 42P16, 0A000 and the query's own."""
    node = parsed.node
    if is_materialized(node):
        return create_materialized_view(parsed, state)
    if _is_skipped(parsed, state):
        result = UtilityResult("CREATE TABLE AS")
        result.notice("42P07", f'relation "{node.into.rel.relname}" already exists, skipping')
        return result
    state.block.note_ddl("SELECT INTO" if node.is_select_into else "CREATE TABLE AS")
    try:
        table = _make(parsed, state)
    finally:
        state.block.forget_catalog()
    if node.into.skip_data:
        return UtilityResult("CREATE TABLE AS")
    return UtilityResult(f"SELECT {_fill(table, parsed, state)}")


def _is_skipped(parsed: ParsedStatement, state: SessionState) -> bool:
    """Tell whether the table is there already, and need not be made."""
    node = parsed.node
    return bool(node.if_not_exists) and is_taken(state.context, node.into.rel)


def _query(parsed: ParsedStatement, state: SessionState) -> ParsedStatement:
    node = inner(parsed.node.query)
    name = type(node).DESCRIPTOR.name.removesuffix("Stmt")
    if name == "Execute":
        find_statement(state, node.name.encode())
    if name not in QUERIES:
        raise unsupported(f"CREATE TABLE AS {name.upper()} is not supported")
    return replace(parsed, node=node, name=name)


def _source(parsed: ParsedStatement, state: SessionState) -> CompiledQuery:
    """Return the query, compiled for who may run it. Raises SqlError 42501."""
    plans = state.environment.plans
    return compile_query(
        _query(parsed, state), None, state.context.standpoint, state.settings, plans
    )


def _make(parsed: ParsedStatement, state: SessionState) -> Table:
    node, context = parsed.node, state.context
    into = node.into
    if into.table_space_name:
        raise unsupported("TABLESPACE not supported for CREATE TABLE")
    standpoint = state.context.standpoint
    query = describe_query(_query(parsed, state), None, standpoint, state.settings)
    found = query.columns or ()
    names = column_names(strings(into.col_names), [column.name for column in found])
    check_place(into.rel, context)
    expressions = StatementExpressions(parsed, context)
    columns = [_column(name, each, expressions) for name, each in zip(names, found, strict=True)]
    schema = relation_schema(context, into.rel)
    on_commit = read_on_commit(enum_name(into, "on_commit"), schema)
    return make_table(context, expressions, schema, into.rel.relname, columns, on_commit)


def _column(name: str, column: OutputColumn, expressions: StatementExpressions) -> ColumnSource:
    kind = registry.get(column.type_oid)
    if kind.kind == "p":
        raise SqlError("42P16", f'column "{name}" has pseudo-type {kind.sql_name}')
    return ColumnSource(name, *expressions.usable_type(column.type_oid, column.typmod))


def _fill(table: Table, parsed: ParsedStatement, state: SessionState) -> int:
    """Run the query into its table; return the number of rows."""
    relation = pg.RangeVar(
        schemaname=table.schema, relname=table.name, inh=True, relpersistence="p"
    )
    insert = pg.InsertStmt(relation=relation, select_stmt=parsed.node.query)
    filling = replace(parsed, node=insert, name="Insert")
    query = compile_filling(filling, state.context.standpoint, state.settings)
    state.block.use(query)
    return query.program.emit(state.context, (), bytearray(), ())
