"""What the parts of one session share: settings, transaction, statements, portals, the output so far."""

from __future__ import annotations

import contextlib
import sys
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from dsql.errors import ClientGoneError, ConflictError, Origin, SchemaConflictError, SqlError
from dsql.executor.datarow import FLUSH_BYTES
from dsql.limits import truncate_identifier
from dsql.sequences.session import SessionSequences
from dsql.session.block import State, TransactionBlock
from dsql.session.constraints import Constraints
from dsql.session.context import SessionContext
from dsql.session.environment import Environment
from dsql.session.interrupts import Interrupts
from dsql.session.lost_transactions import LostTransaction, lost_in
from dsql.session.replay import AnswerTooLongError, Recording
from dsql.session.settings import Settings
from dsql.sql.refusals import DSQL
from dsql.tls.connection import Connection
from dsql.wire import backend
from dsql.wire.buffer import MessageReader

if TYPE_CHECKING:
    from dsql.session.portal import Portal
    from dsql.session.prepared import Source
    from dsql.session.statement import MovedStatement, Statement

Message = tuple[int, bytes]


_COPY_WAIT_SECONDS = 0.02  # for the client, between two looks at what may end the statement


class Client(NamedTuple):
    """Whose session it is: `process_id` of its BackendKeyData, where it came from ("host:port"), and when.

    `since` is in microseconds since 1970.
    """

    process_id: int
    address: str
    since: int


class SessionState:
    """See the module. `mark` is where the rows of a running program start in `out`, else -1.

    It is what the session's `Interrupts` look at: `dsql.session.interrupts.Surroundings`.
    """

    def __init__(self, client: Client, connection: Connection, environment: Environment) -> None:
        self.client = client
        self.connection = connection
        self.environment = environment
        self.settings = Settings(
            environment.profile,
            lambda: self.block.catalog,
            profile_changes=environment.profile_changes,
        )
        self.interrupts = Interrupts(self.settings, self, environment.waiter)
        connection.on_stall = self.interrupts.attend
        self.recording = Recording(self)
        self.sequences = SessionSequences(environment.sequences)
        self.constraints = Constraints(self)
        self.block = TransactionBlock(
            environment,
            self.settings,
            self.interrupts,
            self.recording,
            self.sequences,
            self.constraints.check_deferred,
            self._transaction_ended,
        )
        self.block.process_id, self.block.on_conflict = client.process_id, self._note_conflict
        self.context = SessionContext(
            environment,
            self.settings,
            self.interrupts,
            self.block,
            self.sequences,
            self.constraints.after_statement,
            self.flush_rows,
        )
        # Those of another process are made again with the first use (`dsql.session.prepared`). The sources
        # are those of the statements, and of some that are gone.
        self.statements: dict[bytes, Statement | MovedStatement] = {}
        self.sources: dict[bytes, Source] = {}
        self.portals: dict[bytes, Portal] = {}
        self.held: dict[bytes, Portal] = {}  # those of them that outlive their transaction
        self.said: bytes | str = ""  # the last query, as the client has sent it
        self.out = bytearray()
        self.mark = -1
        self.reader = MessageReader()
        self.pending: deque[Message] = deque()

    def take_apart(self) -> None:
        """Let go of everything: the session is over.

        Its parts know each other. The collector would find that, some hundred sessions later.
        """
        self.context.take_apart()
        self.block.take_apart()
        self.settings.take_apart()
        vars(self).clear()

    def age_error(self) -> SqlError | None:
        """See `dsql.session.interrupts.Surroundings`."""
        return self.block.age_error()

    def client_is_gone(self) -> bool:
        """See `dsql.session.interrupts.Surroundings`."""
        return self.connection.is_gone()

    def end_input(self) -> None:
        """See `dsql.session.interrupts.Surroundings`."""
        self.connection.end_input()

    def _note_conflict(self, error: ConflictError) -> None:
        """Keep what the transaction has lost by, for sys.conflicts."""
        lost, block, said = error.lost, self.block, self.said
        table, key = lost_in(block.catalog if block.has_looked else None, lost)
        if isinstance(said, bytes):
            said = said.rstrip(b"\0").decode(errors="replace")
        self.environment.lost.add(
            LostTransaction(
                self.environment.now(),
                self.client.process_id,
                self.settings.session_role,
                "OC001" if isinstance(error, SchemaConflictError) else "OC000",
                table,
                key,
                block.progress.writers.get(lost.statement, "") if block.is_block else said,
                lost.met,
            )
        )

    def _transaction_ended(self) -> None:
        self.recording.clear()
        if self.portals:
            self.forget_portals()
        if self.sequences.ahead:
            self.sequences.end()
        if self.block.locks is not None:
            self.block.locks.end_transaction()
        if self.sequences.latest and self.settings.profile == DSQL:
            self.sequences.latest = 0  # Aurora DSQL's lastval looks no further back

    def forget_portals(self) -> None:
        """Forget the portals of a transaction."""
        self.portals.clear()
        if self.held:
            self.portals.update(self.held)

    def look_again(self) -> None:
        """Have the statement that begins see what is committed by now, where its transaction does so.

        The unnamed portal goes, and another one that is not at its end keeps its snapshot, for all.
        """
        self.portals.pop(b"", None)
        if self.portals and any(
            name not in self.held and portal.epilogue() is None
            for name, portal in self.portals.items()
        ):
            return
        self.block.look_again()

    def send(self) -> None:
        """Send what has been gathered."""
        if self.out:
            try:
                self.connection.send(self.out)
            finally:
                self.out.clear()  # the connection keeps what has not gone out
                self.mark = -1

    def flush_rows(self, out: bytearray) -> None:
        """Send the rows so far if they are many; programs call this between two rows."""
        if len(out) > FLUSH_BYTES:
            if out is not self.out:
                raise AnswerTooLongError
            try:
                self.connection.send(out)
            finally:
                out.clear()
                if self.mark >= 0:
                    self.mark = 0

    def read_message(self) -> Message:
        """Return the next message, for a statement that reads from the client itself (COPY)."""
        if not self.pending:
            self.send()
            patience = self.connection.deadline
            try:
                self._await_message()
            finally:
                self.connection.deadline = patience
        return self.pending.popleft()

    def _await_message(self) -> None:
        while not self.pending:
            self.interrupts.attend()
            self.connection.deadline = self.environment.monotonic() + _COPY_WAIT_SECONDS
            with contextlib.suppress(TimeoutError):
                data = self.connection.receive()
                if not data:
                    raise ClientGoneError("the client has gone during COPY")
                self.pending.extend(self.reader.feed(data))

    def error_response(self, error: SqlError) -> bytes:
        """Return an ErrorResponse, or the one of what the client's encoding lacks in it."""
        encode = self.settings.encode
        try:
            return backend.error_response(error, encode)
        except SqlError as lacking:
            return backend.error_response(lacking, encode)

    def notice(self, severity: str, sqlstate: str, message: str, **fields: str) -> None:
        """Append a NoticeResponse if client_min_messages lets it through."""
        if (
            _NOTICE_LEVELS[severity]
            >= _NOTICE_LEVELS[self.settings.show("client_min_messages").upper()]
        ):
            notice = SqlError(sqlstate, message, **fields)  # type: ignore[arg-type]
            here = sys._getframe()  # who calls may be compiled, and then has no frame
            self.out += backend.notice_response(
                severity, notice, Origin.of(here, here.f_lineno), self.settings.encode
            )

    def notice_long_names(self, names: tuple[str, ...]) -> None:
        """Append a notice for each of a script's identifiers that were truncated."""
        for name in names:
            kept = truncate_identifier(name)
            self.notice("NOTICE", "42622", f'identifier "{name}" will be truncated to "{kept}"')

    def check_not_failed(self) -> None:
        """Raise SqlError 25P02 in a failed block."""
        if self.block.state is State.FAILED:
            raise SqlError(
                "25P02",
                "current transaction is aborted, commands ignored until end of transaction block",
            )


_NOTICE_LEVELS = {
    name: level
    for level, name in enumerate(
        (
            "DEBUG5",
            "DEBUG4",
            "DEBUG3",
            "DEBUG2",
            "DEBUG1",
            "LOG",
            "NOTICE",
            "WARNING",
            "ERROR",
            "INFO",
        )
    )
}
