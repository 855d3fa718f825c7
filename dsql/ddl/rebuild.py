"""Programs that read a table's stored rows for a job: for index entries, for copies, or for their values.

They are compiled from ordinary plans (DELETE without a condition, INSERT ... SELECT, SELECT), whose full
scan is given a batch of rows instead: a job decides itself how far one transaction goes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

from msgspec.structs import replace

from dsql.access.authority import Authority
from dsql.access.authorize import authorize
from dsql.catalog.catalog import Catalog
from dsql.catalog.schema import Column, Index, Table
from dsql.ddl.result import UtilityContext
from dsql.encoding.keyspace import keyspace_range
from dsql.errors import SqlError, unsupported
from dsql.executor.compiler import CompiledProgram, compile_plan, prepare
from dsql.executor.program import ExecutionContext
from dsql.planner.plan import DeleteNode, IndexBuildNode
from dsql.planner.planner import plan
from dsql.sql.binder import bind
from dsql.sql.bound import Expression
from dsql.sql.bound_query import BoundStatement, Query, Target
from dsql.sql.function_bodies import bind_body
from dsql.sql.gate import parse_statement
from dsql.sql.sql_functions import SqlCall
from dsql.transaction.interface import Transaction
from dsql.types.identifier import quote_identifier
from dsql.types.type import FormatSettings

_ROWS_PER_BATCH = 1_000  # between two looks at what may end the statement

Rows = list[tuple[bytes, bytes]]


class _Batch:
    """A transaction whose scans yield the rows of one batch."""

    def __init__(self, transaction: Transaction, rows: Rows) -> None:
        self._rows = rows
        self.get = transaction.get
        self.read = transaction.read
        self.put = transaction.put
        self.delete = transaction.delete
        self.check = transaction.check
        self.room = transaction.room
        self.put_rows = transaction.put_rows
        self.may_have = transaction.may_have

    def scan(
        self, low: bytes, high: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        del low, high, reverse
        return iter(self._rows)


class _Context:
    """The context of a program that only reads and writes rows. Raises SqlError 0A000 for what it lacks."""

    authority = None

    def __init__(
        self,
        transaction: Transaction | _Batch,
        settings: FormatSettings | None = None,
        now: int = 0,
        calls: Calls | None = None,
    ) -> None:
        self.transaction = transaction
        self._calls = calls
        self.settings = settings or FormatSettings()
        self.statement_timestamp = now

    def __getattr__(self, name: str) -> Any:
        raise _unknown()

    def call_sql_function(self, call: SqlCall, arguments: Sequence[Any]) -> Any:
        """See `dsql.functions.function.Context`."""
        if self._calls is None:
            raise _unknown()
        return self._calls.run(call, arguments)

    def check_cancel(self) -> None:
        """Do nothing: a batch is short, and the job looks between them."""


def _unknown() -> SqlError:
    return unsupported("what only a session knows cannot be asked for while rows are replaced")


class Calls:
    """Runs the functions in LANGUAGE SQL that expressions of a table call, with its owner's rights.

    Bare names in their bodies are those of `public`. Raises SqlError 42501, and 0A000 for one that writes.
    """

    def __init__(self, transaction: Transaction, catalog: Catalog, owner: int) -> None:
        self._catalog = catalog
        self._authority = Authority(catalog, owner)
        self._context: Any = _Context(transaction, calls=self)
        self._bodies: dict[SqlCall, list[CompiledProgram]] = {}

    def run(self, call: SqlCall, arguments: Sequence[Any]) -> Any:
        """See `dsql.functions.function.Context.call_sql_function`."""
        body = self._bodies.get(call)
        if body is None:
            body = self._bodies[call] = self._compiled(call)
        rows: list[tuple[Any, ...]] = []
        for program in body:
            rows = list(program.rows(self._context, arguments))
        return call.result(rows, body[-1].columns if body else ())

    def _compiled(self, call: SqlCall) -> list[CompiledProgram]:
        path, settings, authority = ("public",), FormatSettings(), self._authority
        statements = bind_body(
            call, self._catalog, path, settings, authority=authority, profile="postgres"
        )
        programs = [
            prepare(authorize(bound, bound.required, authority).subject) for _, bound in statements
        ]
        if any(program.writes for program in programs):
            raise unsupported("functions that write cannot be called while rows are replaced")
        return programs


def run_on(
    program: CompiledProgram,
    transaction: Transaction,
    rows: Rows,
    settings: FormatSettings | None = None,
    now: int = 0,
    calls: Calls | None = None,
) -> None:
    """Run a program over a batch of stored rows.

    `settings` are a session's, whose expressions are in it; rows without a key are new ones of `now`.
    `calls` runs the functions that it calls.
    """
    context: Any = _Context(_Batch(transaction, rows), settings, now, calls)
    with suppress(SqlError):  # of which there may be another one before it
        if program.insert_new(context):
            return
    program.emit(context, (), bytearray(), ())


def values_of(
    program: CompiledProgram, transaction: Transaction, rows: Rows
) -> Iterator[tuple[Any, ...]]:
    """Yield what a query without conditions over one table makes of a batch of its stored rows."""
    context: Any = _Context(_Batch(transaction, rows))
    return program.rows(context, ())


def finds_row(
    program: CompiledProgram, transaction: Transaction, parameters: Sequence[Any]
) -> bool:
    """Return whether a query has a row for these parameters."""
    context: Any = _Context(transaction)
    return any(True for _ in program.rows(context, parameters))


def value_of(expression: Expression, context: UtilityContext) -> Any:
    """Return what an expression without columns comes to in the running statement."""
    statement = BoundStatement(Query(targets=[Target("", expression)]), [])
    ((value,),) = prepare(statement).rows(context, ())
    return value


def fill(table: Table, numbers: Sequence[int], catalog: Catalog, context: UtilityContext) -> None:
    """Write the defaults of some columns into every row of a table, in the running transaction.

    `catalog` has the table as it is now. Raises SqlError 54000 if that is more than one transaction takes.
    """
    columns = tuple(replace(column, not_null=False) for column in table.columns)
    plain = replace(table, columns=columns, checks=(), foreign_keys=(), frozen=False)
    names = [quote_identifier(table.columns[number - 1].name) for number in numbers]
    changes = ", ".join(f"{name} = DEFAULT" for name in names)
    program = prepare(_bind(f"UPDATE {_name(table)} SET {changes}", _with_table(catalog, plain)))
    program.emit(context, (), bytearray(), ())


def duplicated(
    table: Table, columns: Sequence[Column], context: UtilityContext, *, nulls: bool
) -> tuple[Any, ...] | None:
    """Return values of some columns that several rows have, None for none; `nulls`: NULLs count."""
    names = [quote_identifier(column.name) for column in columns]
    listed, present = ", ".join(names), " AND ".join(f"{name} IS NOT NULL" for name in names)
    where = "" if nulls else f" WHERE {present}"
    text = (
        f"SELECT {listed} FROM {_name(table)}{where} GROUP BY {listed} HAVING count(*) > 1 LIMIT 1"
    )
    return next(prepare(_bind(text, context.catalog)).rows(context, ()), None)


def values_program(table: Table, targets: Sequence[str], catalog: Catalog) -> CompiledProgram:
    """Return the program for the values of some expressions in each row of a table.

    Nothing is taken for granted of the rows, neither constraints nor indexes.
    """
    columns = tuple(replace(column, not_null=False) for column in table.columns)
    primary = tuple(index for index in table.indexes if index.primary)
    plain = replace(table, columns=columns, indexes=primary, frozen=False)
    text = f"SELECT {', '.join(targets)} FROM {_name(table)}"
    return prepare(_bind(text, _with_table(catalog, plain)))


def query_program(text: str, types: tuple[int, ...], catalog: Catalog) -> CompiledProgram:
    """Return the program of a query of the server's own with parameters of these types."""
    return prepare(_bind(text, catalog, types))


def run_on_all(program: CompiledProgram, table: Table, context: UtilityContext) -> None:
    """Run a program over all rows of a table, in the statement's own transaction."""
    transaction = context.transaction
    stored = transaction.scan(*keyspace_range(table.keyspace_id))
    while rows := list(islice(stored, _ROWS_PER_BATCH)):
        context.check_cancel()
        run_on(program, transaction, rows, context.settings, context.statement_timestamp)


def index_build_program(table: Table, index: Index, catalog: Catalog) -> CompiledProgram:
    """Return the program that adds an index's entries for the rows it is given."""
    kept = tuple(other for other in table.indexes if other.primary or other.oid == index.oid)
    narrowed = _with_table(catalog, replace(table, indexes=kept, frozen=False))
    planned = plan(_bind(f"DELETE FROM {_name(table)}", narrowed))
    node = planned.query.node
    assert isinstance(node, DeleteNode)
    build = IndexBuildNode(
        estimate=node.estimate,
        table=node.table,
        alias=node.alias,
        child=node.child,
        new=node.new,
        index_expressions=node.index_expressions,
        index_predicates=node.index_predicates,
        index=index,
        row_slot=node.row_slot,
        key_slot=node.key_slot,
    )
    query = dataclasses.replace(planned.query, node=build)
    return compile_plan(dataclasses.replace(planned, query=query))


def copy_program(
    source: Table,
    target: Table,
    catalog: Catalog,
    using: Mapping[int, str],
    settings: FormatSettings,
) -> CompiledProgram:
    """Return the program that inserts the source's rows it is given into the target.

    `using` are expressions over the source for columns by number; the others are assigned as they are.
    """
    renamed = replace(source, oid=source.oid ^ (1 << 31), name=f"{source.name} before {target.oid}")
    # What refers is where it was, and what need not hold for all rows need not now.
    checks = tuple(check for check in target.checks if check.validated)
    # Nor do domains have to be asked about values that are theirs already.
    columns = tuple(
        replace(column, domain=0) if column.domain == before.domain else column
        for column, before in zip(target.columns, source.columns, strict=True)
    )
    copied = replace(target, foreign_keys=(), checks=checks, columns=columns)
    both = _with_table(_with_table(catalog, copied), renamed)
    given = [column for column in target.live_columns if not column.generated]
    names = ", ".join(quote_identifier(column.name) for column in given)
    values = ", ".join(
        using.get(c.number) or quote_identifier(source.columns[c.number - 1].name) for c in given
    )
    text = (
        f"INSERT INTO {_name(target)} ({names}) OVERRIDING SYSTEM VALUE"
        f" SELECT {values} FROM {_name(renamed)}"
    )
    return prepare(_bind(text, both, settings=settings))


def has_rows(table: Table, context: ExecutionContext) -> bool:
    """Tell whether a table of the context's catalog has any row."""
    program = prepare(_bind(f"SELECT FROM {_name(table)} LIMIT 1", context.catalog))
    return next(program.rows(context, ()), None) is not None


def read_column(table: Table, column: Column, context: ExecutionContext) -> Iterator[Any]:
    """Yield the values of a column of a table of the context's catalog."""
    text = f"SELECT {quote_identifier(column.name)} FROM {_name(table)}"
    rows = prepare(_bind(text, context.catalog)).rows(context, ())
    return (row[0] for row in rows)


def _bind(
    text: str,
    catalog: Catalog,
    types: tuple[int, ...] = (),
    settings: FormatSettings | None = None,
) -> Any:
    found = settings or FormatSettings()
    return bind(parse_statement(text), catalog, (), found, types, profile="postgres")


def _name(table: Table) -> str:
    return f"{quote_identifier(table.schema)}.{quote_identifier(table.name)}"


def _with_table(catalog: Catalog, table: Table) -> Catalog:
    return catalog.with_tables({**catalog.tables, (table.schema, table.name): table}.values())
