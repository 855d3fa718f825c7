"""Running a transaction again that lost against another one, if its client cannot tell the difference.

PostgreSQL makes the second of two writers wait and go on with what the first has left, so few programs
written for it expect a commit to fail with 40001. In the postgres profile a session therefore remembers the
statements of a transaction and what it answered to each. After a conflict they run once more on a new
snapshot. If every answer comes out byte for byte as the client has it already, the transaction might as
well have begun later, and that is what is committed. Otherwise the client gets its 40001. Only the last
answer may change, as long as it has not been sent.

Where each statement has a snapshot of its own (READ COMMITTED), what was read before anything was written
or locked was an answer about that moment, and stays one: it is not run again.

A transaction may have moved from process to process. Of what it did elsewhere there is the text, compiled
again if need be, and a digest of the answer, which the client has.

Nothing but whole queries is remembered. A transaction that did anything else to the store (COPY, cursors,
DDL, savepoints) is recognised by its number of statements, one with other settings than at its beginning
by their generation; neither is run again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from dsql.errors import SqlError
from dsql.executor.program import Emit
from dsql.session.compiled import CompiledQuery, decode_parameters, utf8_decoders
from dsql.session.pipeline import QUERIES, compile_query, parse
from dsql.session.record import ReplayRecord
from dsql.transaction.interface import Notification
from dsql.types import registry

if TYPE_CHECKING:
    from dsql.session.state import SessionState

ANSWERS_BYTES_MAX = 64 * 1024
STATEMENTS_MAX = 100
_DIGEST_BYTES = 16


class _Statement(NamedTuple):
    query: CompiledQuery
    emit: Emit
    parameters: Sequence[Any]
    timestamp: int
    answer: bytes
    reads_first: bool  # nothing was written or locked by its end

    def has_answered(self, answer: bytes) -> bool:
        """Return whether this was the answer."""
        return answer == self.answer


class _Told(NamedTuple):
    """A NOTIFY, which says the same again."""

    notification: Notification
    timestamp: int


class _Moved(NamedTuple):
    """A statement that ran in another process."""

    record: ReplayRecord

    @property
    def timestamp(self) -> int:
        """When it ran."""
        return self.record.timestamp

    @property
    def reads_first(self) -> bool:
        """Whether nothing was written or locked by its end."""
        return self.record.reads_first

    def has_answered(self, answer: bytes) -> bool:
        """Return whether this was the answer."""
        return _digest(answer) == self.record.digest

    def compiled(self, state: SessionState) -> _Statement:
        """Return it as a statement of this process. Raises SqlError."""
        record, environment = self.record, state.environment
        script = parse(record.text, environment.plans)
        parsed = [only.parsed() for only in script]
        if len(parsed) != 1 or parsed[0].name not in QUERIES:
            raise SqlError("XX001", "a statement that nobody can have run")
        query = compile_query(
            parsed[0],
            record.declared,
            state.context.standpoint,
            state.settings,
            environment.plans,
        )
        shape = query.shape((1,), record.formats)
        decoders = utf8_decoders(query.parameter_types, 1, state.settings.formats)
        parameters = decode_parameters(decoders, record.parameters, b"")
        emit = query.emitter(shape)
        return _Statement(query, emit, parameters, self.timestamp, b"", self.reads_first)


def _digest(answer: bytes) -> bytes:
    return hashlib.blake2b(answer, digest_size=_DIGEST_BYTES).digest()


class AnswerTooLongError(Exception):
    """A repeated statement's answer cannot be what it was."""


class Recording:
    """The queries of the running transaction with their answers."""

    __slots__ = ("_bytes", "_generation", "_state", "_statements")

    def __init__(self, state: SessionState) -> None:
        self._state = state
        self._statements: list[_Statement | _Moved | _Told] = []
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
        reads_first = not self._state.block.transaction.has_writes
        statements.append(_Statement(query, emit, parameters, timestamp, answer, reads_first))

    def note_notification(self, notification: Notification) -> None:
        """Remember a NOTIFY."""
        if not self._statements:
            self._generation = self._state.settings.generation
        if len(self._statements) == STATEMENTS_MAX:
            self.clear()
        else:
            timestamp = self._state.context.statement_timestamp
            self._statements.append(_Told(notification, timestamp))

    def covers(self, statements: int) -> bool:
        """Return whether this is all that a transaction of so many statements has done."""
        return len(self._statements) == statements > 0 and (
            self._generation == self._state.settings.generation
        )

    def replay(self) -> bool:
        """Run the queries again, in a transaction that has just begun; False if a client could tell."""
        last = len(self._statements) - 1
        for number, statement in enumerate(self._statements):
            if isinstance(statement, _Told):
                self._state.block.transaction.begin_statement()
                self._state.block.transaction.notify(statement.notification)
                continue
            if statement.reads_first and self._state.block.renews:
                self._state.block.transaction.begin_statement()
                continue
            answer = self._run(statement)
            if answer is None:
                return False
            if statement.has_answered(answer):
                continue
            if (
                isinstance(statement, _Moved)
                or number != last
                or not self._state.out.endswith(statement.answer)
            ):
                return False
            del self._state.out[-len(statement.answer) :]
            self._state.out += answer
            self._statements[last] = statement._replace(answer=answer)
        return True

    def records(self) -> tuple[ReplayRecord, ...]:
        """Return the statements for another process; none if they could not be run again anyway."""
        if self._generation != self._state.settings.generation:
            return ()
        found = [_record_of(statement) for statement in self._statements]
        return tuple(record for record in found if record is not None)

    def take_up(self, records: tuple[ReplayRecord, ...]) -> None:
        """Remember what ran in another process, under the present settings."""
        self._statements = [_Moved(record) for record in records]
        self._generation = self._state.settings.generation

    def _run(self, statement: _Statement | _Moved) -> bytes | None:
        """Return the answer to a statement, None for an error."""
        state, context = self._state, self._state.context
        answer = bytearray()
        context.statement_timestamp = statement.timestamp
        try:
            if isinstance(statement, _Moved):
                statement = statement.compiled(state)
            state.block.use(statement.query)
            count = statement.emit(context, statement.parameters, answer)
            state.constraints.after_statement(statement.query)
        except (AnswerTooLongError, SqlError):
            return None
        return bytes(answer + statement.query.complete(count))


def _record_of(statement: _Statement | _Moved | _Told) -> ReplayRecord | None:
    """Return a statement for another process, None if it cannot be told how it was run."""
    if isinstance(statement, _Moved):
        return statement.record
    if isinstance(statement, _Told):
        return None
    query = statement.query
    formats = query.formats_of(statement.emit)
    if formats is None:
        return None
    types = map(registry.get, query.parameter_types)
    parameters = tuple(
        None if value is None else one.binary_encode(value)
        for one, value in zip(types, statement.parameters, strict=True)
    )
    return ReplayRecord(
        query.text,
        query.declared,
        parameters,
        formats,
        statement.timestamp,
        _digest(statement.answer),
        statement.reads_first,
    )
