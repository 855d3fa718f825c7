"""The life of one session, from AuthenticationOk to the client's last byte.

    greet            AuthenticationOk, ParameterStatus..., BackendKeyData, ReadyForQuery
    or take up       what the session has left behind in another process
    prepare          while the client makes up its first message, open what that will need
    receive          whatever the client has sent, cut into messages
    handle           each message by its handler, which appends its answer
    send             all answers up to where the client awaits them: each Sync, each simple query
    ...              until Terminate, the end of the stream, or the session's age limit; or until the client
                     has been silent for a while: then the session is worth a record, and goes elsewhere

An SqlError becomes an ErrorResponse; any other exception is a bug, logged once with an id that the client
sees as XX000. After an error of the extended protocol everything up to the next Sync is skipped.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
from collections.abc import Callable
from functools import partial
from typing import Any

from dsql.catalog.names import CatalogNames, view_of
from dsql.catalog.user_types import CatalogTypes
from dsql.errors import FatalError, Interrupted, SqlError
from dsql.executor.memory import out_of_memory
from dsql.hub.waiter import NEVER
from dsql.session import conversion, departure
from dsql.session.activity import PARKED_CHARACTERS_MAX, QUERY_CHARACTERS_MAX, describe
from dsql.session.block import State
from dsql.session.cursors import hold_cursors
from dsql.session.departure import Departure
from dsql.session.environment import Environment, do_nothing
from dsql.session.extended import READY, ExtendedProtocol
from dsql.session.facts import Facts
from dsql.session.function_call import FunctionCalls
from dsql.session.handed import HandedSession
from dsql.session.interrupts import FREE, HELD, RESTING
from dsql.session.patience import Patience
from dsql.session.portal import send_notices
from dsql.session.prepared_round import BIND, PreparedRounds
from dsql.session.record import MOVED_BYTES_MAX, RECORD_BYTES_MAX, SessionRecord
from dsql.session.simple import SimpleProtocol
from dsql.session.startup import greet, report_changes
from dsql.session.state import Client, SessionState
from dsql.sql import collection
from dsql.sql.depth import stack_depth_error
from dsql.tls.connection import Connection
from dsql.types import reg, registry
from dsql.types.datetime_parse import install_clock
from dsql.wire import backend, frontend

logger = logging.getLogger(__name__)

_QUERY, _SYNC, _FUNCTION_CALL = b"QSF"
_ROUND_ENDS = frozenset((_QUERY, _SYNC, _FUNCTION_CALL))  # the client's turn comes after these
_RESUMING = frozenset(b"SX")
_IDLE = State.IDLE
_AGE_JITTER = 0.1  # sessions opened together do not all end together


class _TerminatedError(Exception):
    """The client said goodbye."""


def _client_of(origin: HandedSession | SessionRecord, environment: Environment) -> Client:
    if isinstance(origin, SessionRecord):
        return Client(origin.process_id, origin.address, origin.since)
    return Client(origin.process_id, origin.client_address, environment.now())


class Session:
    """One client, that has just come in or was here before."""

    def __init__(
        self,
        origin: HandedSession | SessionRecord,
        connection: Connection,
        environment: Environment,
        park_seconds: float = NEVER,
        arrived: Callable[[], None] = do_nothing,
    ) -> None:
        """`park_seconds`: after so much silence it departs if it can.

        `arrived` is called when what was here before is whole again.
        """
        self._origin = origin
        self.connection_id = origin.process_id
        self._connection = connection
        self._environment = environment
        self._arrived = arrived
        self._state = state = SessionState(_client_of(origin, environment), connection, environment)
        state.context.facts = Facts(state)
        state.block.hold_cursors = partial(hold_cursors, state)
        extended = ExtendedProtocol(state)
        simple = SimpleProtocol(state)
        plain: dict[int, Callable[[bytes], None]] = {
            _QUERY: simple.query,
            ord("P"): extended.parse,
            ord("B"): extended.bind,
            ord("D"): extended.describe,
            ord("E"): extended.execute,
            ord("C"): extended.close,
            ord("H"): extended.flush,
            _SYNC: extended.sync,
            _FUNCTION_CALL: FunctionCalls(state).call,
            # What a failed COPY leaves behind is read over.
            ord("d"): _ignore,
            ord("c"): _ignore,
            ord("f"): _ignore,
            ord("X"): _terminate,
        }
        self._plain_handlers, self._handlers = plain, dict(plain)
        self._rounds = PreparedRounds(state)
        state.settings.on_encoding(self._understand)
        self.interrupts = state.interrupts
        self._skipping = False
        self._leaving = False
        self._monotonic = monotonic = environment.monotonic
        self._park_seconds = park_seconds
        self._park_at = monotonic() + park_seconds
        self._deadline = (
            origin.deadline if isinstance(origin, SessionRecord) else _last_moment(environment)
        )
        self._patience = Patience(
            state.settings, state.block, connection, monotonic, self._deadline
        )

    @property
    def statement(self) -> int:
        """See `dsql.session.roster.Occupant`."""
        return 0 if self.interrupts.state == RESTING else self._state.context.statement_timestamp

    def activity(self) -> bytes:
        """See `dsql.session.roster.Occupant`."""
        resting = self.interrupts.state == RESTING
        return describe(self._state, resting=resting, characters_max=QUERY_CHARACTERS_MAX)

    def leave(self) -> bool:
        """See `dsql.session.roster.Occupant`."""
        if self._leaving or self.interrupts.state != RESTING:
            return False
        self._leaving = True
        self._connection.step_back()
        self.interrupts.wake()
        return True

    def evacuate(self) -> Departure | None:
        """See `dsql.session.roster.Occupant`."""
        state = self._state
        between = self.interrupts.state == RESTING and not (state.out or state.pending)
        return self._depart(None) if between else None

    def take_apart(self) -> None:
        """Leave nothing behind that only the collector would find. It is in no roster any more.

        Who has met it before (`dsql.session.load_meter`) still may ask for its `statement`.
        """
        self.interrupts.state = RESTING
        self._state.take_apart()

    def run(self) -> Departure | None:
        """Serve the client until it is gone, and close the connection; or until the session departs."""
        self.interrupts.adopt()
        departing = None
        try:
            departing = self._live()
        except _TerminatedError:
            self._send_last()
        except FatalError as error:
            self._say_last(error)
        except SqlError as error:  # of what was to be told between two statements
            self._say_last(FatalError(error.sqlstate, error.message))
        except OSError as error:  # the client is gone, or broke TLS: nobody is left to tell
            logger.info("connection lost", extra={"reason": str(error)})
        except Exception as error:
            self._say_last(FatalError("XX000", _visible(error).message))
        finally:
            if departing is None:
                self._state.block.rollback()
                self._connection.close()
            self._state.block.close_temporary()
            if self._state.block.listening is not None:
                self._state.block.listening.close()
            if self._state.block.locks is not None and departing is None:
                self._state.block.locks.close()
        return departing

    def _understand(self) -> None:
        """Take what the client says from now on as its encoding has it."""
        encoding, plain = self._state.settings.encoding, self._plain_handlers
        self._handlers |= plain if encoding is None else conversion.understanding(encoding, plain)
        self._rounds.be_used(used=encoding is None)

    def _live(self) -> Departure | None:
        try:
            self._start(self._origin)
            self._remember_to_park()
            return self._serve()
        except Interrupted as interrupt:  # between two statements: only what ends the session
            raise interrupt.error from None

    def _start(self, origin: HandedSession | SessionRecord) -> None:
        state = self._state
        reg.install(CatalogNames(lambda: view_of(state.context)))
        registry.install(CatalogTypes(lambda: view_of(state.context)))
        install_clock(lambda: state.context.transaction_timestamp)
        if isinstance(origin, SessionRecord):
            self._take_up(origin)
            return
        greet(state, origin)
        self._patience.review()
        if origin.pending:
            state.pending.extend(state.reader.feed(origin.pending))
        if not state.pending:
            state.send()
            self._environment.prepare()

    def _take_up(self, record: SessionRecord) -> None:
        """Become the session that has come, and see what its client has said by now.

        A cancel that comes from `arrived` on is meant for that.
        """
        state, connection = self._state, self._connection
        self.interrupts.hold()
        try:
            departure.take_up(state, record)
        except SqlError as error:
            raise FatalError(error.sqlstate, error.message, detail=error.detail) from error
        self._skipping = record.skipping
        self._patience.take_up(record.quiet_since)
        self._arrived()
        if not self._park_seconds and state.block.state is not _IDLE:
            self._await_client()
        else:
            patience, connection.deadline = connection.deadline, 0.0
            with contextlib.suppress(TimeoutError):
                self._take_in()
            connection.deadline = patience

    def _await_client(self) -> None:
        """Wait for the client's next word: who moves at every boundary and is not parked stays so long."""
        self.interrupts.rest()
        while True:
            try:
                self._take_in()
            except TimeoutError:
                self.interrupts.check()
                self._patience.check()
            else:
                return

    def _take_in(self) -> None:
        state = self._state
        state.pending.extend(state.reader.feed(self._connection.receive()))

    def _serve(self) -> Departure | None:
        state, connection = self._state, self._connection
        pending, feed = state.pending, state.reader.feed
        popleft, handlers, interrupts = pending.popleft, self._handlers, self.interrupts
        answer_round, partial = self._rounds.answer, state.reader.partial
        while True:
            while pending:
                kind, body = popleft()
                if self._skipping and kind not in _RESUMING:
                    continue
                self._attempt(kind, handlers[kind], body)
                if kind in _ROUND_ENDS:
                    self._end_round()
                    if pending:
                        self._send_round()
            self._send_round()
            if collection.postponed:
                collection.collect()
            try:
                data = connection.receive()
            except TimeoutError:
                interrupts.check()
                self._patience.check()
                if self._has_heard():
                    self._tell_heard()
                    state.send()
                departing = self._depart_if_due()
                if departing is not None:
                    return departing
                continue
            if not data:
                interrupts.check()  # perhaps it is we who want no more
                return None
            if (
                data[0] == BIND
                and not (self._skipping or partial)
                and self._attempt(_SYNC, answer_round, data)
            ):
                self._end_round()
            else:
                pending.extend(feed(data))

    def _send_round(self) -> None:
        """Send what was answered, before whatever the next round may take (PostgreSQL's pq_flush)."""
        interrupts, out = self.interrupts, self._state.out
        interrupts.state = RESTING
        if interrupts.pending is not None:
            interrupts.rest()
        if out:
            try:
                self._connection.send(out)
            finally:
                out.clear()  # the connection keeps what has not gone out

    def _attempt(self, kind: int, handler: Callable[[bytes], Any], body: bytes) -> Any:
        """Return what a handler returns; if it fails or is interrupted, answer that and return True."""
        interrupts = self.interrupts
        try:
            try:
                interrupts.state = FREE
                if interrupts.pending is not None:
                    interrupts.check()
                done = handler(body)
            except Exception as error:
                interrupts.hold()
                self._fail(kind, error)
                error.__traceback__ = error.__context__ = None  # frames that may know it
                done = True
            interrupts.state = HELD
        except Interrupted as interrupt:
            interrupts.caught()
            collection.resume()
            self._fail(kind, interrupt.error)
            done = True
        return done

    def _end_round(self) -> None:
        """Do what comes before the client's next turn."""
        state, patience = self._state, self._patience
        block = state.block
        if self.interrupts.deadline:
            self.interrupts.stop_clock()
        self._skipping = False
        if state.settings.changed:
            ready = state.out[-6:]
            del state.out[-6:]
            report_changes(state)
            state.out += ready
            patience.review()
            self._remember_to_park()
        elif patience.limited:
            patience.begin()
            self._remember_to_park()
        if block.listening is not None and self._has_heard():
            ready = state.out[-6:]
            del state.out[-6:]
            self._tell_heard()
            state.out += ready
        if block.state is _IDLE:
            now = self._monotonic()
            if now > self._deadline:
                patience.check()
            self._park_at = park_at = now + self._park_seconds
            if not patience.limited or park_at < self._connection.deadline:
                self._connection.deadline = park_at  # the end of its age may come as much later

    def _has_heard(self) -> bool:
        """Whether there are notifications that the client may get now."""
        block = self._state.block
        return block.listening is not None and bool(block.listening.heard) and block.state is _IDLE

    def _tell_heard(self) -> None:
        listening = self._state.block.listening
        assert listening is not None, "who has heard something listens"
        for notification in listening.take(self._environment.waiter):
            self._state.out += backend.notification_response(
                *notification, self._state.settings.encode
            )

    def _remember_to_park(self) -> None:
        """Let `receive` wait no longer than until the session may be parked."""
        connection = self._connection
        connection.deadline = min(connection.deadline, self._park_at)

    def _depart_if_due(self) -> Departure | None:
        """Return what the session departs with if it is time and nothing keeps it here.

        What keeps it is seldom over before its next round: until then nobody asks again.
        """
        connection = self._connection
        if self._leaving:
            self._leaving = False
            departing = self._depart(None)
            if departing is not None:
                return departing
        if self._monotonic() < self._park_at:
            self._remember_to_park()
            return None
        departing = self._depart(connection.deadline)
        if departing is None:
            self._park_at = NEVER
        return departing

    def _depart(self, deadline: float | None) -> Departure | None:
        """Return what the session departs with, None if something keeps it. `deadline`: see Departure.

        Nobody is parked in a transaction. Tests have sessions move at every boundary.
        """
        state = self._state
        stays = deadline is not None and departure.reason_not_to_park(state) is not None
        if deadline is not None and (stays or state.block.state is not _IDLE):
            if self._park_seconds:
                return None
            deadline = None
        reason = departure.reason_to_stay(state)
        if reason is None:
            ears = departure.ears_of(state)
            record = departure.depart(
                state,
                skipping=self._skipping,
                deadline=self._deadline,
                quiet_since=self._patience.since,
                bytes_max=MOVED_BYTES_MAX if deadline is None else RECORD_BYTES_MAX,
            )
            if record is not None:
                parks = deadline is not None
                seen = describe(state, resting=True, characters_max=PARKED_CHARACTERS_MAX)
                release = state.block.release
                return (
                    Departure(record, deadline, release, seen, ears)
                    if parks
                    else Departure(record, None, release)
                )
            reason = "its record is too long"
        if deadline is None:
            logger.info("session stays", extra={"reason": reason})
        return None

    def _fail(self, kind: int, error: Exception) -> None:
        """Answer with an error, and put the session into the state that follows it."""
        if isinstance(error, FatalError | ConnectionError | _TerminatedError):
            raise error
        state = self._state
        if state.mark >= 0:
            del state.out[state.mark :]  # a row that was half written
            state.mark = -1
        if isinstance(error, MemoryError):
            error = _give_back(error)
        shown = _visible(error)
        send_notices(state, shown.notices)
        state.out += state.error_response(shown)
        try:
            state.block.fail()
        except Exception as failure:
            raise FatalError("XX000", _visible(failure).message) from failure
        if kind in _ROUND_ENDS:
            state.out += READY[state.block.state]
        else:
            self._skipping = True

    def _say_last(self, error: FatalError) -> None:
        self._state.out += self._state.error_response(error)
        self._send_last()

    def _send_last(self) -> None:
        """Send what is left, to a client who may not listen any more."""
        self._connection.on_stall = _give_up
        try:
            self._state.send()
        except OSError as lost:
            logger.info("connection lost", extra={"reason": str(lost)})


def _last_moment(environment: Environment) -> float:
    """Return when a session that begins now is too old."""
    jitter = 1 - _AGE_JITTER * secrets.randbelow(1000) / 1000
    return environment.monotonic() + environment.session_seconds_max * jitter


def _give_up() -> None:
    raise TimeoutError("the client does not read")


def _ignore(body: bytes) -> None:
    del body


def _terminate(body: bytes) -> None:
    frontend.parse_empty(body)
    raise _TerminatedError


def _give_back(error: MemoryError) -> SqlError:
    """Let go of what a statement held that met the process's limit; return the client's error."""
    error.__traceback__ = error.__context__ = None  # they hold every frame, and those every value
    collection.collect()
    logger.warning("out of memory")
    return out_of_memory("The statement came to the limit of its process.")


def _visible(error: Exception) -> SqlError:
    """Return what the client may know of an error. A bug is logged."""
    if isinstance(error, SqlError):
        return error
    if isinstance(error, RecursionError):
        return stack_depth_error()
    log_id = secrets.token_hex(8)
    logger.error("internal error", exc_info=error, extra={"log_id": log_id})
    return SqlError("XX000", f"internal error (log id {log_id})")
