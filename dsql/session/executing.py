"""EXECUTE: a prepared statement run from SQL, with expressions for its parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dsql.errors import SqlError
from dsql.session.compiled import describe_columns, expand_result_formats
from dsql.session.pipeline import compile_arguments
from dsql.session.portal import Portal
from dsql.session.prepared import find_statement
from dsql.session.state import SessionState
from dsql.session.statement import (
    UNSETTLED,
    Columns,
    QueryStatement,
    Settled,
    Statement,
    check_no_parameters,
)
from dsql.sql.gate import ParsedStatement
from dsql.wire import backend
from dsql.wire.frontend import Bind


def arguments_of(
    state: SessionState, parsed: ParsedStatement, node: Any, types: Sequence[int]
) -> Sequence[Any]:
    """Return the values of an EXECUTE's arguments; `node` is its ExecuteStmt within `parsed`.

    Raises SqlError 42601 unless there is one for each type, and what they raise.
    """
    if len(node.params) != len(types):
        raise SqlError(
            "42601",
            f'wrong number of parameters for prepared statement "{node.name}"',
            detail=f"Expected {len(types)} parameters but got {len(node.params)}.",
        )
    if not types:
        return ()
    context = state.context
    query = compile_arguments(parsed, node.params, types, context.standpoint, state.settings)
    (row,) = query.program.rows(context, ())
    return row


class ExecuteStatement:
    """An EXECUTE; see `dsql.session.statement.Statement`. What it executes is looked for when it runs."""

    ends_failed_block = False

    def __init__(self, state: SessionState, parsed: ParsedStatement) -> None:
        self._state = state
        self._parsed = parsed

    def describe(self) -> tuple[tuple[int, ...], Columns]:
        """See `Statement`."""
        name = self._parsed.node.name.encode()
        known = name in self._state.statements
        return (), find_statement(self._state, name).describe()[1] if known else None

    def bind(self, message: Bind) -> ExecutePortal:
        """See `Statement`."""
        check_no_parameters(message)
        _, columns = self.describe()
        description = backend.NO_DATA
        if columns is not None:
            codes = expand_result_formats(message.result_formats, len(columns))
            description = describe_columns(columns, codes, self._state.settings.formats)
        return ExecutePortal(self._state, self._parsed, message.result_formats, description)

    def settled(self) -> Settled:
        """See `Statement`."""
        return UNSETTLED


class ExecutePortal:
    """An EXECUTE; its arguments are computed when it starts."""

    def __init__(
        self,
        state: SessionState,
        parsed: ParsedStatement,
        result_formats: tuple[int, ...],
        description: bytes,
    ) -> None:
        self._state = state
        self._parsed = parsed
        self._result_formats = result_formats
        self._started: Portal | None = None
        self.description = description

    def execute(self, row_limit: int) -> None:
        """See `Portal`. Raises SqlError 26000, 42601."""
        if self._started is None:
            self._started = self._start()
        self._started.execute(row_limit)

    def _start(self) -> Portal:
        node = self._parsed.node
        statement: Statement = find_statement(self._state, node.name.encode())
        types, _ = statement.describe()
        values = arguments_of(self._state, self._parsed, node, types)
        if isinstance(statement, QueryStatement):
            return statement.bind_values(values, self._result_formats)
        return statement.bind(Bind(b"", b"", (), [], self._result_formats))

    def epilogue(self) -> bytes | None:
        """See `Portal`."""
        return None if self._started is None else self._started.epilogue()
