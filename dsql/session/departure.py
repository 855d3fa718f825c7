"""How a session leaves a query processor: what keeps it, what it takes along, and how it arrives."""

from __future__ import annotations

from typing import NamedTuple

from dsql.functions import session_random
from dsql.session.block import State
from dsql.session.explain import ExplainStatement
from dsql.session.record import (
    RECORD_BYTES_MAX,
    VERSION,
    InvalidRecordError,
    PreparedRecord,
    RandomRecord,
    SessionRecord,
    encode,
)
from dsql.session.state import SessionState
from dsql.session.statement import MovedStatement, QueryStatement


class Departure(NamedTuple):
    """An encoded SessionRecord, and when somebody has to look at the session though its client is silent.

    The time is in seconds of the host's monotonic clock; None: the session goes on elsewhere at once.
    """

    record: bytes
    deadline: float | None


def reason_to_stay(state: SessionState) -> str | None:
    """Return why a session that waits for its client cannot move now; None: it can."""
    assert not state.out, "what is answered was sent"
    assert not state.pending, "what has come was answered"
    if state.interrupts.pending is not None:
        return "it is about to end"
    if state.interrupts.deadline:
        return "a statement's time is running"
    if state.block.state is not State.IDLE:
        return "it is in a transaction"
    if state.portals:
        return "it has open portals"
    if not state.connection.may_move:
        return "its connection is in the midst of something"
    if len(state.reader.partial) + sum(map(len, state.texts.values())) > RECORD_BYTES_MAX:
        return "its statements are too long"
    return None


def depart(
    state: SessionState, *, skipping: bool, deadline: float, quiet_since: float
) -> bytes | None:
    """Return the record of a session that nothing keeps here; None if it is too large after all.

    Else the connection is over here.
    """
    record = encode(_record_of(state, skipping, deadline, quiet_since))
    if len(record) > RECORD_BYTES_MAX:
        return None
    state.connection.detach()
    return record


def _record_of(
    state: SessionState, skipping: bool, deadline: float, quiet_since: float
) -> SessionRecord:
    found = session_random.seeded_state()
    return SessionRecord(
        VERSION,
        state.connection.tls_state(),
        deadline,
        quiet_since,
        state.settings.record(),
        state.reader.pending,
        skipping,
        tuple(_prepared(state, name) for name in state.statements),
        None if found is None else RandomRecord(*found),
        state.context.known_session_id,
    )


def _prepared(state: SessionState, name: bytes) -> PreparedRecord:
    statement, text = state.statements[name], state.texts[name]
    if isinstance(statement, QueryStatement | ExplainStatement | MovedStatement):
        return PreparedRecord(name.decode(), text, *statement.settled())
    return PreparedRecord(name.decode(), text)


def take_up(state: SessionState, record: SessionRecord) -> None:
    """Give a session that has just arrived what it had. Raises InvalidRecordError."""
    state.settings.take_up(record.settings)
    for prepared in record.statements:
        name = prepared.name.encode()
        state.statements[name] = MovedStatement(prepared.types, prepared.columns)
        state.texts[name] = prepared.text
    state.context.known_session_id = record.session_id
    if state.reader.feed(record.partial):
        raise InvalidRecordError("a whole message that was not answered")
    if record.random is not None:
        try:
            session_random.take_up(record.random.numbers, record.random.half)
        except ValueError as error:
            raise InvalidRecordError(str(error)) from None
