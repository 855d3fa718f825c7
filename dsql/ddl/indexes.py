"""CREATE INDEX: a new, not yet valid index and the job that fills it.

From the commit on, every writer maintains the index: a transaction that started before it carries the
older version of the table and fails with OC001. The job then adds the rows that were there before.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from dsql.access.requirements import Requirement, creation_in
from dsql.catalog.jobs import Job, new_job, write_job
from dsql.catalog.schema import Index, IndexColumn, Table, Use
from dsql.catalog.store import CatalogWriter
from dsql.ddl import nodes
from dsql.ddl.column import StatementExpressions
from dsql.ddl.function_names import check_calls
from dsql.ddl.naming import (
    KIND_NAMES,
    owned_relation,
    refuse_system_column,
    require_table,
    taken_names,
    unique_name,
)
from dsql.ddl.rebuild import has_rows
from dsql.ddl.result import UtilityContext, UtilityResult
from dsql.ddl.table_limits import check_index_count, check_key_type
from dsql.ddl.temporary_tables import build_index
from dsql.errors import SqlError, unsupported
from dsql.executor.program import OutputColumn
from dsql.sql.gate import ParsedStatement
from dsql.sql.refusals_ddl import check_index_keys
from dsql.sql.stored_uses import in_order
from dsql.types import oids

JOB_COLUMNS = (OutputColumn("job_id", oids.TEXT),)


def create_index_requires(
    parsed: ParsedStatement, context: UtilityContext
) -> Iterator[Requirement]:
    """Yield what an IndexStmt needs: the table, and a place in its schema."""
    yield from owned_relation(context, parsed.node)
    table = require_table(context, parsed.node.relation, "rvmS")
    if not table.has_rows:
        raise SqlError(
            "42809",
            f'cannot create index on relation "{table.name}"',
            detail=f"This operation is not supported for {KIND_NAMES[table.kind]}s.",
        )
    yield creation_in(context.catalog.schemas[table.schema])


def create_index(parsed: ParsedStatement, context: UtilityContext) -> UtilityResult:
    """Run an IndexStmt. The asynchronous form returns one row: the job's identifier."""
    statement, asynchronous = parsed.node, parsed.asynchronous
    result = UtilityResult("CREATE INDEX")
    table = require_table(context, statement.relation, "rm")
    if asynchronous:
        result.columns = JOB_COLUMNS
    taken = taken_names(context, table.schema)
    if statement.idxname in taken:
        if not statement.if_not_exists:
            raise SqlError("42P07", f'relation "{statement.idxname}" already exists')
        result.notice("42P07", f'relation "{statement.idxname}" already exists, skipping')
        if asynchronous:
            result.rows = [(new_job("INDEX_BUILD", 0).text_id,)]
        return result
    index = _index(statement, table, taken, StatementExpressions(parsed, context), context)
    if has_rows(table, context):
        check_calls(index.uses, context)  # else nothing is called yet
    if table.is_temporary:
        writer = CatalogWriter(context.transaction, local=True)
        writer.put_table(build_index(index, table, context, writer))
        result.rows = [(new_job("INDEX_BUILD", 0).text_id,)] if asynchronous else ()
        return result
    job = add_index(index, table, context, synchronous=not asynchronous)
    if asynchronous:
        result.rows = [(job.text_id,)]
    return result


def add_index(index: Index, table: Table, context: UtilityContext, *, synchronous: bool) -> Job:
    """Add a built `Index` value (without OID) to its table and submit its build.

    A synchronous build runs when the transaction has committed, before its statement's end.
    """
    if table.frozen:
        raise unsupported("CREATE INDEX is not supported where all rows are being replaced")
    check_index_count(len(table.indexes) + 1)
    writer = CatalogWriter(context.transaction)
    writer.claim_name(table.schema, index.name)
    index = replace(index, oid=writer.allocate_oid(), valid=False)
    writer.put_table(replace(table, indexes=(*table.indexes, index)))
    job = new_job("INDEX_BUILD", context.statement_timestamp)
    job.object_oid = index.oid
    job.object_name = f"{table.schema}.{index.name}"
    job.table_oid = table.oid
    job.synchronous = synchronous
    write_job(context.transaction, job)
    if synchronous:
        context.run_after_commit(job)
    else:
        context.request_jobs()
    return job


def _index(
    statement: Any,
    table: Table,
    taken: set[str],
    expressions: StatementExpressions,
    context: UtilityContext,
) -> Index:
    if statement.access_method not in ("", "btree", "btree_index"):
        raise SqlError("42704", f'access method "{statement.access_method}" does not exist')
    check_index_keys(statement, lenient=True)
    elements = [nodes.inner(element) for element in statement.index_params]
    included = [nodes.inner(element) for element in statement.index_including_params]
    label = "_".join(element.name or _expression_label(element) for element in elements)
    predicate: str | None = None
    uses: set[Use] = set()
    if statement.HasField("where_clause"):
        predicate, read = expressions.predicate(table, statement.where_clause)
        check_calls(read, context)
        uses.update(read)
    return Index(
        oid=0,
        name=statement.idxname or unique_name(table.name, label, "idx", taken),
        columns=tuple(_part(element, table, expressions, uses) for element in elements),
        unique=statement.unique,
        nulls_not_distinct=statement.nulls_not_distinct,
        include=tuple(_column_number(table, element.name) for element in included),
        predicate=predicate,
        uses=in_order(uses),
    )


def _expression_label(element: Any) -> str:
    if nodes.kind(element.expr) == "func_call":
        return nodes.strings(element.expr.func_call.funcname)[-1]
    return "expr"


def _part(
    element: Any, table: Table, expressions: StatementExpressions, uses: set[Use]
) -> IndexColumn:
    """Return a key part, and add to `uses` what it reads if it is an expression."""
    descending = nodes.enum_name(element, "ordering") == "SORTBY_DESC"
    match nodes.enum_name(element, "nulls_ordering"):
        case "SORTBY_NULLS_FIRST":
            nulls_first = True
        case "SORTBY_NULLS_LAST":
            nulls_first = False
        case _:
            nulls_first = descending
    number, expression = 0, None
    if element.name:
        number = _column_number(table, element.name)
        type_oid = table.columns[number - 1].type_oid
    else:
        expression, type_oid, read = expressions.index_expression(table, element.expr)
        uses.update(read)
    check_key_type(type_oid, expressions.profile)
    opclass = expressions.operator_class(element, type_oid)
    return IndexColumn(number, expression, type_oid, descending, nulls_first, opclass)


def _column_number(table: Table, name: str) -> int:
    refuse_system_column(table, name, "index creation on system columns is not supported")
    for column in table.live_columns:
        if column.name == name:
            return column.number
    raise SqlError("42703", f'column "{name}" does not exist')
