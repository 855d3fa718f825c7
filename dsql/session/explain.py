"""EXPLAIN: the plan of a query as text, and with ANALYZE what running it has cost."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from dsql.ddl.lacking_statements import check_names
from dsql.ddl.nodes import inner, option_value
from dsql.ddl.result import UtilityResult
from dsql.errors import SqlError, unsupported
from dsql.executor.program import OutputColumn
from dsql.planner.explain import Style, explain
from dsql.session import dpu
from dsql.session.executing import arguments_of
from dsql.session.pipeline import QUERIES, ParameterTypes, compile_query
from dsql.session.portal import ResultPortal
from dsql.session.prepared import find_statement
from dsql.session.state import SessionState
from dsql.session.statement import Columns, QueryStatement, Settled, Statement, UtilityStatement
from dsql.sql.gate import ParsedStatement
from dsql.sql.libpg_query import query_identifier
from dsql.types import oids
from dsql.wire.copy_options import read_boolean
from dsql.wire.frontend import Bind

_COLUMNS = (OutputColumn("QUERY PLAN", oids.TEXT),)
_FLAGS = frozenset(
    (
        "analyze",
        "verbose",
        "costs",
        "settings",
        "generic_plan",
        "buffers",
        "wal",
        "timing",
        "summary",
    )
)


class ExplainStatement:
    """An EXPLAIN; see `dsql.session.statement.Statement`. Its parameters are its query's."""

    ends_failed_block = False

    def __init__(
        self, state: SessionState, parsed: ParsedStatement, declared: ParameterTypes
    ) -> None:
        node = inner(parsed.node.query)
        name = type(node).DESCRIPTOR.name.removesuffix("Stmt")
        self._parsed = replace(parsed, node=node, name=name)
        if name not in QUERIES:
            check_names(self._parsed, state.context)
            raise unsupported(f"unsupported statement: {name}")
        self._state = state
        self._options = _options(parsed.node)
        self._query = QueryStatement(state, self._parsed, declared, "")

    def describe(self) -> tuple[tuple[int, ...], Columns]:
        """See `Statement`."""
        return self._query.described().parameter_types, _COLUMNS

    def settled(self) -> Settled:
        """See `Statement`."""
        return self._query.settled()

    def settle(self, types: tuple[int, ...], columns: bytes) -> None:
        """See `QueryStatement`."""
        self._query.settle(types, columns)

    def bind(self, message: Bind) -> ResultPortal:
        """See `Statement`."""
        query = self._query.described()
        values = self._query.decode(message, query.shape(message.formats, ()))
        run = partial(_run, self._state, self._parsed, self._options, query.parameter_types, values)
        return ResultPortal(self._state, _COLUMNS, message.result_formats, run)


def explain_statement(
    state: SessionState, parsed: ParsedStatement, declared: ParameterTypes
) -> Statement:
    """Return the statement of an EXPLAIN."""
    if inner(parsed.node.query).DESCRIPTOR.name != "ExecuteStmt":
        return ExplainStatement(state, parsed, declared)
    options = _options(parsed.node)
    return UtilityStatement(state, _COLUMNS, lambda: _run_execute(state, parsed, options))


def _run_execute(
    state: SessionState, parsed: ParsedStatement, options: dict[str, bool]
) -> UtilityResult:
    """Run EXPLAIN EXECUTE: explain the prepared statement with these arguments."""
    node = inner(parsed.node.query)
    statement = find_statement(state, node.name.encode())
    types, _ = statement.describe()
    values = arguments_of(state, parsed, node, types)
    if not isinstance(statement, QueryStatement):
        raise unsupported("EXPLAIN EXECUTE of a utility statement is not supported")
    return _run(state, statement.parsed, options, types, values)


def _options(node: Any) -> dict[str, bool]:
    options = {"costs": True}
    for wrapped in node.options:
        element = wrapped.def_elem
        name, value = element.defname, option_value(element)
        if name == "format":
            if str(value).lower() != "text":
                raise unsupported(f"EXPLAIN format {str(value).upper()} is not supported")
        elif name in _FLAGS:
            options[name] = read_boolean(f"EXPLAIN option {name}", value)
        else:
            raise SqlError("42601", f'unrecognized EXPLAIN option "{name}"')
    return options


def _run(
    state: SessionState,
    parsed: ParsedStatement,
    options: dict[str, bool],
    types: tuple[int, ...],
    values: Sequence[Any],
) -> UtilityResult:
    clock = state.environment.monotonic
    started, processor = clock(), time.thread_time()
    compiled = compile_query(
        parsed, types, state.context.standpoint, state.settings, state.environment.plans
    )
    program, planned = compiled.program, clock()
    verbose, analyze = options.get("verbose", False), options.get("analyze", False)
    style = Style(costs=options["costs"], verbose=verbose, timing=options.get("timing", True))
    measurement = None
    if analyze:
        state.block.use(compiled)
        measurement = program.measure(state.context, values, clock, dpu.SMALLEST_BYTES)
        style = style._replace(actual=measurement.actual)
    lines = explain(program.plan, style)
    if verbose and analyze:
        lines.append(f"Query Identifier: {query_identifier(parsed.text)}")
    if options.get("summary", analyze):
        lines.append(f"Planning Time: {(planned - started) * 1000:.3f} ms")
        if analyze:
            lines.append(f"Execution Time: {(clock() - planned) * 1000:.3f} ms")
    if verbose and measurement is not None and state.settings.profile == "dsql":
        seconds = time.thread_time() - processor
        lines += dpu.estimate(seconds, measurement.read_bytes, measurement.written_bytes)
    result = UtilityResult("EXPLAIN", _COLUMNS)
    result.rows = [(line,) for line in lines]
    return result
