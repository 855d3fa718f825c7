"""Statements that are bound and can be executed, whole or a few rows at a time.

A portal appends to the session's output: rows and CommandComplete, or PortalSuspended when the row limit
was reached first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NoReturn, Protocol

from dsql.ddl.result import Notice, UtilityResult
from dsql.errors import SqlError
from dsql.executor.program import Emit, OutputColumn
from dsql.executor.spill import Rows
from dsql.planner.constants import compute
from dsql.session.compiled import (
    CompiledQuery,
    Shape,
    describe_columns,
    encoders,
    expand_result_formats,
)
from dsql.session.state import SessionState
from dsql.types.type import Encode
from dsql.wire import backend

Row = tuple[Any, ...]


class Portal(Protocol):
    """`description` is its RowDescription, or NoData."""

    description: bytes

    def execute(self, row_limit: int) -> None:
        """Run on, for at most `row_limit` rows (0: to the end)."""
        ...

    def epilogue(self) -> bytes | None:
        """Return what is answered to one more Execute after the end, b"" for an error (55000).

        None: it is not at its end, or is still good for other things.
        """
        ...


_NO_ROWS: Iterator[Row] = iter(())


def run_to_end(
    state: SessionState, query: CompiledQuery, emit: Emit, parameters: Sequence[Any]
) -> None:
    """Append all rows of a query and its CommandComplete."""
    out, context = state.out, state.context
    counted = state.block.use(query)
    context.start_statement()
    state.mark = start = len(out)
    count = emit(context, parameters, out)
    if query.watches:
        state.constraints.after_statement(query)
    whole = state.mark == start
    state.mark = -1
    out += query.complete(count)
    if counted and whole and state.settings.profile == "postgres":
        state.recording.note(query, emit, parameters, bytes(out[start:]))


def raise_spent(state: SessionState) -> NoReturn:
    """Refuse to run what was run before, or in a block that has failed since."""
    state.check_not_failed()
    raise SqlError("55000", "portal cannot be run")


class QueryPortal:
    """A query with its parameters."""

    __slots__ = (
        "_encoders",
        "_failed",
        "_parameters",
        "_query",
        "_rows",
        "_shape",
        "_state",
        "description",
    )

    def __init__(
        self, state: SessionState, query: CompiledQuery, shape: Shape, parameters: Sequence[Any]
    ) -> None:
        self._state = state
        self._query = query
        self._shape = shape
        self._parameters = parameters
        self._rows: Iterator[Row] | None = None
        self._failed = False
        self._encoders: list[Encode] = []
        self.description = shape.description

    def compute_early(self) -> None:
        """Raise what the query would end with before it starts if its parameters were constants."""
        if self._query.early:
            compute(self._query.early, self._parameters)

    @classmethod
    def spent(cls, state: SessionState, query: CompiledQuery, shape: Shape) -> QueryPortal:
        """Return a portal that was executed to its end."""
        portal = cls(state, query, shape, ())
        portal._rows = _NO_ROWS
        return portal

    def execute(self, row_limit: int) -> None:
        """See `Portal`."""
        if row_limit or self._rows is not None:
            self._execute_some(row_limit)
            return
        query = self._query
        run_to_end(self._state, query, query.emitter(self._shape), self._parameters)
        self._rows = _NO_ROWS

    def epilogue(self) -> bytes | None:
        """See `Portal`."""
        if self._rows is not _NO_ROWS:
            return None
        return self._query.complete(0) if self._query.returns_rows else b""

    @property
    def columns(self) -> tuple[OutputColumn, ...] | None:
        """The result's columns; None if it has none."""
        return self._query.columns

    def fetch(self, count: int | None) -> Rows:
        """Return the next rows as runtime values, all that are left for None."""
        if self._failed:
            raise_spent(self._state)
        self._failed = True  # unless all goes well: a generator that raised seems to be at its end
        if self._rows is None:
            self._rows = self._start()
        self._state.context.start_statement()
        rows = Rows(self._state.context.memory)
        for row in islice(self._rows, count):
            rows.add(row)
        self._failed = False
        return rows

    def _start(self) -> Iterator[Row]:
        state, query = self._state, self._query
        state.block.use(query)
        state.context.start_statement()
        rows = query.program.rows(state.context, self._parameters)
        # What modifies rows must be done when the first row is out, however many are asked for.
        if not query.writes:
            return rows
        kept = Rows(state.context.memory)
        for row in rows:
            kept.add(row)
        state.constraints.after_statement(query)
        return iter(kept)

    def _execute_some(self, row_limit: int) -> None:
        state, query = self._state, self._query
        state.check_not_failed()
        if not query.returns_rows:
            if self._rows is not None:
                raise_spent(self._state)
            self.execute(0)
            return
        if not self._encoders and query.columns:
            self._encoders = encoders(query.columns, self._shape.formats, state.settings.formats)
        rows = self.fetch(row_limit or None)
        for row in rows:
            append_row(state.out, row, self._encoders)
            state.flush_rows(state.out)
        if row_limit and len(rows) == row_limit:
            state.out += backend.PORTAL_SUSPENDED
        else:
            state.out += query.complete(len(rows))


class ResultPortal:
    """A statement that makes its whole result at once: the utility statements."""

    __slots__ = (
        "_answer",
        "_at_end",
        "_codes",
        "_result",
        "_rows",
        "_run",
        "_state",
        "description",
    )

    def __init__(
        self,
        state: SessionState,
        columns: tuple[OutputColumn, ...] | None,
        result_formats: tuple[int, ...],
        run: Callable[[], UtilityResult],
    ) -> None:
        self._state = state
        self._run = run
        self._result: UtilityResult | None = None
        self._answer = b""  # the whole of it, if it was given at once
        self._rows: Iterator[Row] = iter(())
        self._codes: tuple[int, ...] = ()
        self._at_end = False
        self.description = backend.NO_DATA
        if columns is not None:
            self._codes = expand_result_formats(result_formats, len(columns))
            self.description = describe_columns(columns, self._codes, state.settings.formats)

    @property
    def has_run(self) -> bool:
        """Whether there is a result."""
        return self._result is not None

    def execute(self, row_limit: int) -> None:
        """See `Portal`. Raises SqlError 55000 for what has no rows and was run before."""
        state, result = self._state, self._result
        if result is not None:
            if not result.columns:
                raise_spent(state)
            self._give(result, row_limit)
            return
        start = len(state.out)
        state.context.start_statement()
        self._result = result = self._run()
        send_notices(state, result.notices)
        self._rows = iter(result.rows)
        self._give(result, row_limit)
        if self._at_end:
            self._answer = bytes(state.out[start:])
            state.block.repeat_by(self._repeat)

    def _give(self, result: UtilityResult, row_limit: int) -> None:
        state = self._state
        self._at_end = not row_limit or not result.columns
        if not result.columns:
            state.out += backend.command_complete(result.tag)
            return
        codes = self._codes or (0,) * len(result.columns)
        encode = encoders(result.columns, codes, state.settings.formats)
        count = 0
        for row in islice(self._rows, row_limit or None):
            append_row(state.out, row, encode)
            state.flush_rows(state.out)
            count += 1
        if row_limit and count == row_limit:
            state.out += backend.PORTAL_SUSPENDED
        else:
            state.out += backend.command_complete(result.tag)

    def _repeat(self) -> bool:
        """Run again, in a transaction that has just begun: see `TransactionBlock.repeat_by`."""
        out, answer, result = self._state.out, self._answer, self._result
        unsent = out.endswith(answer)
        if unsent:
            del out[-len(answer) :]
        start = len(out)
        self._result = None
        try:
            self.execute(0)
            same = unsent or out[start:] == answer
        except SqlError:
            same = False
        if not (same and unsent):
            del out[start:]
        if not same:
            self._result = result
            out += answer if unsent else b""
        return same

    def epilogue(self) -> bytes | None:
        """See `Portal`."""
        result = self._result
        if result is None or not self._at_end:
            return None
        return backend.command_complete(result.tag) if result.columns else b""


def send_notices(state: SessionState, notices: Iterable[Notice]) -> None:
    """Append NoticeResponses."""
    for notice in notices:
        state.notice(
            notice.severity,
            notice.sqlstate,
            notice.message,
            detail=notice.detail,
            hint=notice.hint,
        )


class DeniedPortal:
    """A query that would write and that the role may not run: PostgreSQL finds that out when it starts."""

    def __init__(self, description: bytes, error: SqlError) -> None:
        self.description = description
        self._error = error

    def execute(self, row_limit: int) -> None:
        """See `Portal`. Raises SqlError 42501."""
        del row_limit
        raise self._error

    def epilogue(self) -> None:
        """See `Portal`."""


class EmptyPortal:
    """No statement at all."""

    description = backend.NO_DATA

    def __init__(self, state: SessionState) -> None:
        self._state = state

    def execute(self, row_limit: int) -> None:
        """See `Portal`."""
        del row_limit
        self._state.out += backend.EMPTY_QUERY_RESPONSE

    def epilogue(self) -> bytes:
        """See `Portal`."""
        return backend.EMPTY_QUERY_RESPONSE


class SpentPortal:
    """One that was run to its end, in another process or with its Bind and Sync."""

    def __init__(self, state: SessionState, description: bytes, epilogue: bytes) -> None:
        self._state = state
        self._epilogue = epilogue
        self.description = description

    def execute(self, row_limit: int) -> None:
        """See `Portal`. Raises SqlError 55000."""
        del row_limit
        if not self._epilogue:
            raise_spent(self._state)
        self._state.context.start_statement()
        self._state.out += self._epilogue

    def epilogue(self) -> bytes:
        """See `Portal`."""
        return self._epilogue


def append_row(out: bytearray, row: Row, encode: Sequence[Encode]) -> None:
    """Append the DataRow of runtime values."""
    backend.data_row(
        out,
        [None if value is None else one(value) for value, one in zip(row, encode, strict=True)],
    )
