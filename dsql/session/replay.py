"""Running a transaction again that lost against another one, if its client cannot tell the difference.

PostgreSQL makes the second of two writers wait and go on with what the first has left, so few programs
written for it expect a commit to fail with 40001. In the postgres profile a session therefore remembers the
statements of a transaction and what it answered to each. After a conflict they run once more on a new
snapshot. If every answer comes out byte for byte as the client has it already, the transaction might as
well have begun later, and that is what is committed. Otherwise the client gets its 40001. Only the last
answer may change, as long as it has not been sent.

Nothing but whole queries is remembered. A transaction that did anything else to the store (COPY, cursors,
DDL, savepoints) is recognised by its number of statements, one with other settings than at its beginning
by their generation; neither is run again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from dsql.errors import SqlError
from dsql.executor.program import Emit
from dsql.session.compiled import CompiledQuery

if TYPE_CHECKING:
    from dsql.session.state import SessionState

ANSWERS_BYTES_MAX = 64 * 1024
STATEMENTS_MAX = 100


class _Statement(NamedTuple):
    query: CompiledQuery
    emit: Emit
    parameters: Sequence[Any]
    timestamp: int
    answer: bytes


class AnswerTooLongError(Exception):
    """A repeated statement's answer cannot be what it was."""


class Recording:
    """The queries of the running transaction with their answers."""

    __slots__ = ("_bytes", "_generation", "_state", "_statements")

    def __init__(self, state: SessionState) -> None:
        self._state = state
        self._statements: list[_Statement] = []
        self._bytes = 0
        self._generation = 0

    def clear(self) -> None:
        """Begin anew with the next transaction."""
        if self._statements:
            self._statements.clear()
            self._bytes = 0

    def note(
        self, query: CompiledQuery, emit: Emit, parameters: Sequence[Any], answer: bytes
    ) -> None:
        """Remember a query that has just run to its end; `answer`: all rows and CommandComplete.

        A transaction that outgrows the limits is forgotten, and what comes later is never all of it.
        """
        statements = self._statements
        if not statements:
            self._generation = self._state.settings.generation
        self._bytes += len(answer)
        if self._bytes > ANSWERS_BYTES_MAX or len(statements) == STATEMENTS_MAX:
            self.clear()
            return
        timestamp = self._state.context.statement_timestamp
        statements.append(_Statement(query, emit, parameters, timestamp, answer))

    def covers(self, statements: int) -> bool:
        """Return whether this is all that a transaction of so many statements has done."""
        return len(self._statements) == statements > 0 and (
            self._generation == self._state.settings.generation
        )

    def replay(self) -> bool:
        """Run the queries again, in a transaction that has just begun; False if a client could tell."""
        last = len(self._statements) - 1
        for number, statement in enumerate(self._statements):
            answer = self._run(statement)
            if answer == statement.answer:
                continue
            if answer is None or number != last or not self._state.out.endswith(statement.answer):
                return False
            del self._state.out[-len(statement.answer) :]
            self._state.out += answer
            self._statements[last] = statement._replace(answer=answer)
        return True

    def _run(self, statement: _Statement) -> bytes | None:
        """Return the answer to a statement, None for an error."""
        state, context = self._state, self._state.context
        answer = bytearray()
        context.statement_timestamp = statement.timestamp
        try:
            state.block.use(statement.query)
            count = statement.emit(context, statement.parameters, answer)
        except (AnswerTooLongError, SqlError):
            return None
        return bytes(answer + statement.query.complete(count))
