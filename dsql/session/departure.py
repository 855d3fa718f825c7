"""How a session leaves a query processor: what keeps it, what it takes along, and how it arrives."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from dsql.functions import session_random
from dsql.session.advisory_locks import locks_of
from dsql.session.block import State
from dsql.session.control import EARS_BYTES_MAX, Ears
from dsql.session.extended import moved_statement
from dsql.session.listening import listening_of
from dsql.session.portal import SpentPortal
from dsql.session.prepared import Source
from dsql.session.record import (
    MOVED_BYTES_MAX,
    RECORD_BYTES_MAX,
    VERSION,
    BlockRecord,
    InvalidRecordError,
    PortalRecord,
    PreparedRecord,
    RandomRecord,
    SessionRecord,
    encode,
)
from dsql.session.state import SessionState


class Departure(NamedTuple):
    """An encoded SessionRecord, and when somebody has to look at the session though its client is silent.

    The time is in seconds of the host's monotonic clock; None: the session goes on elsewhere at once.
    `release` is to be called when it does: up to then the snapshot of its transaction is shown here, so
    that there is always somebody who shows it. `activity`, of one that is parked, is what others may hear
    of it meanwhile, `ears` are what it has to hear itself.
    """

    record: bytes
    deadline: float | None
    release: Callable[[], None]
    activity: bytes = b""
    ears: Ears | None = None


def reason_to_stay(state: SessionState) -> str | None:
    """Return why a session that waits for its client cannot move now; None: it can."""
    assert not state.out, "what is answered was sent"
    assert not state.pending, "what has come was answered"
    if state.interrupts.pending is not None:
        return "it is about to end"
    if state.interrupts.deadline:
        return "a statement's time is running"
    own = state.block.temporary
    if own is not None and (state.block.state is not State.IDLE or own.has_tables):
        return "it has temporary tables"
    if state.block.listening is not None and not state.block.listening.is_settled:
        return "its transaction has begun to listen, or to do so no more"
    if state.block.waits_for_jobs:
        return "its transaction has begun a job"
    if state.block.progress.deferred or state.block.progress.constraint_modes:
        return "its transaction has constraints to be checked"
    if state.block.progress.exported_snapshot:
        return "others may ask for the snapshot that it has exported"
    if any(name or portal.epilogue() is None for name, portal in state.portals.items()):
        return "it has open portals"
    if not state.connection.may_move:
        return "its connection is in the midst of something"
    texts = sum(len(source.text) for source in state.sources.values())
    if len(state.reader.partial) + texts > RECORD_BYTES_MAX:
        return "its statements are too long"
    if state.block.written_bytes > MOVED_BYTES_MAX:
        return "its transaction has written too much"
    return None


def ears_of(state: SessionState) -> Ears | None:
    """Return what a session has to hear that is about to be parked."""
    record = None if state.block.listening is None else state.block.listening.record()
    return None if record is None else Ears(tuple(dict(record.channels)), record.heard)


def reason_not_to_park(state: SessionState) -> str | None:
    """Return why a session that could move is not to be parked; None: it may be."""
    if state.block.locks is not None and state.block.locks.any:
        return "somebody has to show that the owner of its locks lives"
    ears = ears_of(state)
    if ears is not None and sum(map(len, ears.channels)) > EARS_BYTES_MAX // 4:
        return "it listens to too many channels"
    return None


def depart(
    state: SessionState,
    *,
    skipping: bool,
    deadline: float,
    quiet_since: float,
    bytes_max: int,
) -> bytes | None:
    """Return the record of a session that nothing keeps here; None if it is too large after all.

    Else the connection is over here.
    """
    record = encode(_record_of(state, skipping, deadline, quiet_since))
    if len(record) > bytes_max:
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
        state.client.process_id,
        state.settings.record(),
        state.reader.pending,
        skipping,
        tuple(_prepared(state, name) for name in state.statements),
        None if found is None else RandomRecord(*found),
        state.context.known_session_id,
        _block(state),
        _portal(state),
        state.client.address,
        state.client.since,
        state.sequences.record(),
        None if state.block.listening is None else state.block.listening.record(),
        None if state.block.locks is None else state.block.locks.record(),
    )


def _block(state: SessionState) -> BlockRecord | None:
    block = state.block.record()
    return block and msgspec.structs.replace(block, replay=state.recording.records())


def _portal(state: SessionState) -> PortalRecord | None:
    portal = state.portals.get(b"")
    if portal is None:
        return None
    epilogue = portal.epilogue()
    assert epilogue is not None, "what is not at its end stays"
    return PortalRecord(portal.description, epilogue)


def _prepared(state: SessionState, name: bytes) -> PreparedRecord:
    statement, source = state.statements[name], state.sources[name]
    return PreparedRecord(
        name.decode(), source.text, *statement.settled(), source.by_sql, source.time
    )


def take_up(state: SessionState, record: SessionRecord) -> None:
    """Give a session that has just arrived what it had.

    Raises InvalidRecordError, and SqlError if the snapshot of its transaction is out of reach.
    """
    state.settings.take_up(record.settings)
    for prepared in record.statements:
        name = prepared.name.encode()
        state.statements[name] = moved_statement(state, prepared)
        state.sources[name] = Source(prepared.text, prepared.by_sql, prepared.time)
    state.context.known_session_id = record.session_id
    if record.sequences is not None:
        state.sequences.take_up(record.sequences)
    if record.listening is not None:
        listening_of(state).take_up(record.listening)
    if record.locks is not None:
        locks_of(state).take_up(record.locks)
    if record.block is not None:
        state.block.take_up(record.block)
        state.recording.take_up(record.block.replay)
    if record.portal is not None:
        state.portals[b""] = SpentPortal(state, *msgspec.structs.astuple(record.portal))
    if state.reader.feed(record.partial):
        raise InvalidRecordError("a whole message that was not answered")
    if record.random is not None:
        try:
            session_random.take_up(record.random.numbers, record.random.half)
        except ValueError as error:
            raise InvalidRecordError(str(error)) from None
