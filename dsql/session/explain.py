"""EXPLAIN: the plan of a query as text, and with ANALYZE what running it has cost."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from dsql.ddl.lacking_statements import check_names
from dsql.ddl.nodes import inner, option_value
from dsql.ddl.result import UtilityResult
from dsql.errors import SqlError, unsupported
from dsql.executor.program import OutputColumn
from dsql.planner.explain import Style, show
from dsql.planner.explain_formats import FORMATS, decimal, document
from dsql.planner.explain_text import text_of
from dsql.session import dpu
from dsql.session.compiled import DescribedQuery
from dsql.session.executing import arguments_of
from dsql.session.pipeline import QUERIES, ParameterTypes
from dsql.session.portal import ResultPortal
from dsql.session.prepared import find_statement
from dsql.session.state import SessionState
from dsql.session.statement import Columns, QueryStatement, Settled, Statement, UtilityStatement
from dsql.sql.gate import ParsedStatement, explained
from dsql.sql.libpg_query import query_identifier
from dsql.transaction.usage import SMALLEST_BYTES
from dsql.types import oids
from dsql.wire.copy_options import read_boolean
from dsql.wire.frontend import Bind

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


@dataclass(slots=True)
class Options:
    """The options of an EXPLAIN; flags that are not given are not in `flags`."""

    format: str = "text"
    flags: dict[str, bool] = field(default_factory=dict)

    @property
    def columns(self) -> tuple[OutputColumn, ...]:
        """The result's column."""
        return (OutputColumn("QUERY PLAN", oids.JSON if self.format == "json" else oids.TEXT),)


class ExplainStatement:
    """An EXPLAIN; see `dsql.session.statement.Statement`. Its parameters are its query's."""

    ends_failed_block = False

    def __init__(
        self, state: SessionState, parsed: ParsedStatement, declared: ParameterTypes
    ) -> None:
        query = _within(explained(parsed), state)
        if query.name not in QUERIES:
            check_names(query, state.context)
            raise unsupported(f"unsupported statement: {query.name}")
        self._state = state
        self._options = _options(parsed.node)
        if explained(parsed).name == "CreateTableAs" and self._options.flags.get("analyze"):
            raise unsupported("EXPLAIN ANALYZE of CREATE TABLE AS is not supported")
        self._query = QueryStatement(state, query, declared, "")
        self._planning_seconds = 0.0

    def describe(self) -> tuple[tuple[int, ...], Columns]:
        """See `Statement`."""
        return self._described().parameter_types, self._options.columns

    def _described(self) -> DescribedQuery:
        """Return what is known of its query, which is planned now if it was not before."""
        clock = self._state.environment.monotonic
        started = clock()
        query = self._query.described()
        self._planning_seconds = max(self._planning_seconds, clock() - started)
        return query

    def settled(self) -> Settled:
        """See `Statement`."""
        return self._query.settled()

    def settle(self, types: tuple[int, ...], columns: bytes) -> None:
        """See `QueryStatement`."""
        self._query.settle(types, columns)

    def bind(self, message: Bind) -> ResultPortal:
        """See `Statement`."""
        query = self._described()
        values = self._query.decode(message, query.shape(message.formats, ()))
        run = partial(_run, self._state, self._query, self._options, values, self._planning_seconds)
        return ResultPortal(self._state, self._options.columns, message.result_formats, run)


def _within(statement: ParsedStatement, state: SessionState) -> ParsedStatement:
    """Return the query of what makes a table of it or a cursor, as the plan shown is that alone."""
    if statement.name not in _AROUND_QUERIES or state.settings.profile == "dsql":
        return statement
    query = explained(statement)
    return query if query.name in QUERIES else statement


_AROUND_QUERIES = frozenset(("CreateTableAs", "DeclareCursor"))


def explain_statement(
    state: SessionState, parsed: ParsedStatement, declared: ParameterTypes
) -> Statement:
    """Return the statement of an EXPLAIN."""
    if inner(parsed.node.query).DESCRIPTOR.name != "ExecuteStmt":
        return ExplainStatement(state, parsed, declared)
    options = _options(parsed.node)
    return UtilityStatement(state, options.columns, lambda: _run_execute(state, parsed, options))


def _run_execute(state: SessionState, parsed: ParsedStatement, options: Options) -> UtilityResult:
    """Run EXPLAIN EXECUTE: explain the prepared statement with these arguments."""
    node = inner(parsed.node.query)
    statement = find_statement(state, node.name.encode())
    types, _ = statement.describe()
    values = arguments_of(state, parsed, node, types)
    if not isinstance(statement, QueryStatement):
        raise unsupported("EXPLAIN EXECUTE of a utility statement is not supported")
    return _run(state, statement, options, values, 0.0)


def _options(node: Any) -> Options:
    options = Options()
    for wrapped in node.options:
        element = wrapped.def_elem
        name, value = element.defname, option_value(element)
        if name == "format":
            options.format = str(value).lower()
            if options.format not in ("text", *FORMATS):
                message = f'unrecognized value for EXPLAIN option "format": "{value}"'
                raise SqlError("22023", message, position=element.location + 1)
        elif name in _FLAGS:
            options.flags[name] = read_boolean(f"EXPLAIN option {name}", value)
        else:
            message = f'unrecognized EXPLAIN option "{name}"'
            raise SqlError("42601", message, position=element.location + 1)
    for name in ("wal", "timing"):
        if options.flags.get(name) and not options.flags.get("analyze"):
            raise SqlError("22023", f"EXPLAIN option {name.upper()} requires ANALYZE")
    return options


def _run(
    state: SessionState,
    query: QueryStatement,
    options: Options,
    values: Sequence[Any],
    planning_seconds: float,
) -> UtilityResult:
    """Raises SqlError 42501 if the role may not run the query."""
    clock, flags = state.environment.monotonic, options.flags
    processor = time.thread_time()
    compiled = query.compiled()
    program, started = compiled.program, clock()
    verbose, analyze = flags.get("verbose", False), flags.get("analyze", False)
    style = Style(flags.get("costs", True), verbose, flags.get("timing", True))
    summary: dict[str, Any] = {}
    measurement = None
    if analyze:
        state.block.use(compiled)
        measurement = program.measure(state.context, values, clock, SMALLEST_BYTES)
        state.constraints.after_statement(compiled)
        style = style._replace(actual=measurement.actual)
        summary["Triggers"] = []
        if verbose:
            summary["Query Identifier"] = query_identifier(query.parsed.text)
    if flags.get("summary", analyze):
        summary["Planning Time"] = decimal(planning_seconds * 1e3, 3)
        if analyze:
            summary["Execution Time"] = decimal((clock() - started) * 1e3, 3)
    estimate = None
    if verbose and measurement is not None and state.settings.profile == "dsql":
        seconds = planning_seconds + time.thread_time() - processor
        estimate = dpu.estimate(seconds, measurement.read_bytes, measurement.written_bytes)
    result = UtilityResult("EXPLAIN", options.columns)
    shown = show(program.plan, style)
    if options.format == "text":
        lines = [*text_of(shown, style), *_summary_lines(summary)]
        result.rows = [(line,) for line in (*lines, *(estimate.lines() if estimate else ()))]
    else:
        summary |= {"Statement DPU Estimate": estimate.document()} if estimate else {}
        shown_query = {"Plan": document(shown, style), **summary}
        result.rows = [(FORMATS[options.format](shown_query),)]
    return result


def _summary_lines(summary: Mapping[str, Any]) -> Iterator[str]:
    for name, value in summary.items():
        if name != "Triggers":  # there are none, which only programs are told
            yield f"{name}: {value}{' ms' if name.endswith('Time') else ''}"
