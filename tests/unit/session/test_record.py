"""The record of a session: every field survives, and nothing that is none is taken for one."""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_server import Server

from dsql.errors import SqlError
from dsql.sequences.record import CachedRecord, SequencesRecord
from dsql.session.departure import take_up
from dsql.session.handed import CIPHERS, TlsState
from dsql.session.record import (
    VERSION,
    BlockRecord,
    InvalidRecordError,
    PortalRecord,
    PreparedRecord,
    RandomRecord,
    ReplayRecord,
    SavepointRecord,
    SessionRecord,
    SettingsRecord,
    UsedRecord,
    ValuesRecord,
    decode,
    encode,
)
from dsql.transaction.interface import Mode
from dsql.transaction.read_set import ReadSetRecord
from dsql.transaction.record import BufferRecord, TransactionRecord

OIDS = st.integers(0, 2**32 - 1)
SEQUENCES = st.integers(0, 2**63 - 1)
TIMES = st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)
PARAMETERS = st.dictionaries(TEXTS, TEXTS, max_size=4)
TLS = st.sampled_from((32, 48)).flatmap(
    lambda size: st.builds(
        TlsState,
        st.sampled_from(CIPHERS),
        *(st.binary(min_size=size, max_size=size),) * 2,
        SEQUENCES,
        SEQUENCES,
        st.binary(max_size=50),
    )
)
STATEMENTS = st.lists(
    st.builds(
        PreparedRecord, TEXTS, TEXTS, st.lists(OIDS, max_size=4).map(tuple), st.binary(max_size=8)
    ),
    unique_by=lambda statement: statement.name,
    max_size=4,
).map(tuple)
COUNTS = st.integers(0, 2**63 - 1)
MODES = st.sampled_from(Mode)
BYTES = st.binary(max_size=8)
BUFFERS = st.builds(
    BufferRecord,
    COUNTS,
    COUNTS,
    st.lists(
        st.tuples(
            BYTES,
            st.lists(st.tuples(st.none() | BYTES, MODES, COUNTS), max_size=3).map(tuple),
        ),
        max_size=3,
    ).map(tuple),
    st.lists(st.tuples(BYTES, MODES), max_size=3).map(tuple),
    st.just(()),
    st.lists(st.tuples(BYTES, COUNTS), max_size=3).map(tuple),
)
READS = st.builds(ReadSetRecord, st.tuples(BYTES), st.tuples(st.tuples(BYTES, BYTES)))
LEVELS = ("serializable", "repeatable read", "read committed", "read uncommitted")
TRANSACTION_MODES = st.tuples(st.sampled_from(LEVELS), st.booleans(), st.booleans())
VALUES = st.builds(ValuesRecord, PARAMETERS, OIDS)
BLOCKS = st.builds(
    BlockRecord,
    st.sampled_from(("implicit", "open", "failed")),
    st.none() | st.builds(TransactionRecord, COUNTS, TIMES, BUFFERS, st.none() | READS),
    COUNTS,
    TRANSACTION_MODES,
    COUNTS,
    *(st.booleans(),) * 5,
    st.lists(st.builds(UsedRecord, st.tuples(BYTES), OIDS, COUNTS), max_size=2).map(tuple),
    st.lists(
        st.builds(
            SavepointRecord,
            TEXTS,
            COUNTS,
            st.tuples(VALUES, VALUES),
            COUNTS,
            st.booleans(),
            TRANSACTION_MODES,
        ),
        max_size=2,
    ).map(tuple),
    st.none() | st.tuples(VALUES, VALUES),
    st.lists(
        st.builds(
            ReplayRecord,
            TEXTS,
            st.none() | st.tuples(OIDS),
            st.tuples(st.none() | BYTES),
            st.tuples(st.integers(0, 1)),
            SEQUENCES,
            BYTES,
            st.booleans(),
        ),
        max_size=2,
    ).map(tuple),
)
VALUE = st.integers(-(2**63), 2**63 - 1)


def _cached(oid: int, last: int, step: int, called: bool, made: bool | None) -> CachedRecord:
    return CachedRecord(
        oid, oid, last, last + step if abs(last) < 2**62 else last, step, called, made
    )


def _of_the_first(cached: list[CachedRecord]) -> SequencesRecord:
    return SequencesRecord(cached[0].oid, tuple(cached))


CACHED = st.builds(
    _cached,
    OIDS,
    VALUE,
    st.integers(-(2**62), 2**62).filter(bool),
    st.booleans(),
    st.none() | st.booleans(),
)
RECORDS = st.builds(
    SessionRecord,
    st.just(VERSION),
    st.none() | TLS,
    TIMES,
    TIMES,
    st.integers(0, 2**31 - 1),
    st.builds(SettingsRecord, OIDS, OIDS, PARAMETERS, PARAMETERS, PARAMETERS),
    st.binary(max_size=50),
    st.booleans(),
    STATEMENTS,
    st.none() | st.builds(RandomRecord, st.binary(min_size=2500, max_size=2500), st.none() | TIMES),
    TEXTS.filter(lambda text: len(text) <= 26),
    st.none() | BLOCKS,
    st.none() | st.builds(PortalRecord, BYTES, BYTES),
    sequences=st.none() | st.lists(CACHED, min_size=1).map(_of_the_first),
)
PLAIN = SessionRecord(VERSION, None, 1.0, 1.0, 7, SettingsRecord(10))
SECRETS = bytes(32)


@given(RECORDS)
def test_every_field_survives(record: SessionRecord) -> None:
    assert decode(encode(record)) == record


@given(st.binary(max_size=300))
def test_bytes_that_are_no_record_are_refused_and_nothing_else(data: bytes) -> None:
    with contextlib.suppress(InvalidRecordError):
        decode(data)


@settings(max_examples=40, deadline=None)
@given(RECORDS, st.data())
def test_a_damaged_record_is_refused_or_another_record(
    record: SessionRecord, data: st.DataObject
) -> None:
    damaged = bytearray(encode(record))
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(InvalidRecordError):
        found = decode(bytes(damaged))
        assert decode(encode(found)) == found


@pytest.mark.parametrize(
    "changes",
    [
        {"version": VERSION + 1},
        {"deadline": float("nan")},
        {"deadline": float("inf")},
        {"quiet_since": float("-inf")},
        {"process_id": -1},
        {"process_id": 2**31},
        {"tls": TlsState("TLS_NONE", SECRETS, SECRETS, 0, 0)},
        {"tls": TlsState(CIPHERS[0], SECRETS, bytes(48), 0, 0)},
        {"tls": TlsState(CIPHERS[0], b"", b"", 0, 0)},
        {"tls": TlsState(CIPHERS[0], SECRETS, SECRETS, -1, 0)},
        {"tls": TlsState(CIPHERS[0], SECRETS, SECRETS, 0, 2**63)},
        {"statements": (PreparedRecord("a", "SELECT 1"), PreparedRecord("a", "SELECT 2"))},
        {"statements": (PreparedRecord("a", "x" * (1024 * 1024 + 1)),)},
        {"statements": (PreparedRecord("a", "SELECT $1", (2**32,)),)},
        {"settings": SettingsRecord(-1)},
        {"random": RandomRecord(bytes(2496), None)},
        {"sequences": SequencesRecord(5, ())},
        {"sequences": SequencesRecord(0, (CachedRecord(5, 5, 1, 3, 0, True),))},
        {"sequences": SequencesRecord(5, (CachedRecord(5, 5, 1, 4, 2, True),))},
        {"sequences": SequencesRecord(5, (CachedRecord(5, 5, 1, 2**63, 1, True),))},
        {"block": BlockRecord("open", TransactionRecord(1, float("nan")))},
        {"block": BlockRecord("idle", None)},  # type: ignore[arg-type]
        {"block": BlockRecord("open", TransactionRecord(-1, 0.0))},
    ],
    ids=str,
)
def test_what_no_session_has_is_refused(changes: dict[str, Any]) -> None:
    assert decode(encode(PLAIN)) == PLAIN
    with pytest.raises(InvalidRecordError):
        decode(encode(msgspec.structs.replace(PLAIN, **changes)))


def test_nesting_is_refused() -> None:
    with pytest.raises(InvalidRecordError):
        decode(b"\x99" * 100_000)


@settings(max_examples=60, deadline=None)
@given(RECORDS)
def test_a_record_is_taken_up_or_refused_and_nothing_else(record: SessionRecord) -> None:
    server = Server("postgres", moves=False)
    session, peer = server.pair(server.environment())
    with contextlib.suppress(InvalidRecordError, SqlError):
        take_up(session._state, record)
    session._state.block.rollback()
    session._connection.close()
    peer.socket.close()
