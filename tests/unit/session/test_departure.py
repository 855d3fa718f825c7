"""A session that moves whenever it may is to its client the session that stays."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from memory_server import Peer, Server, errors, letters, rows

from dsql.session.interrupts import RESTING
from dsql.session.record import (
    MOVED_BYTES_MAX,
    RECORD_BYTES_MAX,
    BlockRecord,
    SessionRecord,
    decode,
    encode,
)
from dsql.session.session import Session
from dsql.tls.connection import open_connection
from dsql.wire import client

Answers = list[tuple[str, bytes]]


@contextlib.contextmanager
def two_servers(profile: str = "postgres") -> Iterator[tuple[Server, Server]]:
    staying, moving = Server(profile, moves=False), Server(profile, moves=True)
    yield staying, moving
    staying.stop()
    moving.stop()


def execute(name: str, *values: bytes | None) -> list[bytes]:
    return [
        client.bind(values, statement=name),
        client.describe(b"P"),
        client.execute(),
    ]


# Each is what a client sends before it waits for ReadyForQuery.
STEPS: list[list[bytes]] = [
    [client.query("SELECT 1, 'x'")],
    [client.query("SET application_name TO 'moved'; SET DateStyle TO 'SQL, DMY'")],
    [client.query("SET search_path TO s, public")],
    [client.query("SET my.custom TO 'value'")],
    [client.query("SELECT current_setting('my.custom', true), current_setting('search_path')")],
    [client.query("SHOW application_name")],
    [client.query("RESET ALL")],
    [client.query("SELECT setseed(0.25)")],
    [client.query("SELECT random(), random()")],
    [client.query("SELECT random_normal()")],
    [client.query("SELECT date '2026-01-02'")],
    [client.query("SELECT count(*) FROM t")],
    [client.query("INSERT INTO t VALUES (random() * 1000000000, 'a')")],
    [client.query("ALTER TABLE t ADD COLUMN IF NOT EXISTS more int")],
    [client.query("SELECT nonsense")],
    [client.query("BEGIN")],
    [client.query("SET LOCAL application_name TO 'local'")],
    [client.query("SAVEPOINT s")],
    [client.query("ROLLBACK TO s")],
    [client.query("COMMIT")],
    [client.query("ROLLBACK")],
    [client.query("COMMIT")],
    [client.query("BEGIN READ ONLY")],
    [client.query("SAVEPOINT a")],
    [client.query("ROLLBACK TO a")],
    [client.query("RELEASE a")],
    [client.query("INSERT INTO t VALUES (1, 'one')")],
    [client.query("UPDATE t SET name = name || '!'")],
    [client.query("SELECT * FROM t ORDER BY id LIMIT 5 FOR UPDATE")],
    [client.query("DELETE FROM t WHERE id < 500000000")],
    [client.query("SET LOCAL TimeZone TO 'Asia/Tokyo'; SELECT current_setting('timezone')")],
    [client.query("CREATE TABLE u (id int PRIMARY KEY)")],
    [client.query("DROP TABLE IF EXISTS u")],
    [client.query("DECLARE c CURSOR FOR SELECT g FROM generate_series(1, 9) g")],
    [client.query("FETCH 2 FROM c")],
    [client.query("DISCARD ALL")],
    [client.query("DEALLOCATE ALL")],
    [client.query("")],
    [client.parse("SELECT * FROM t WHERE id < $1 ORDER BY id", "all", (23,)), client.sync()],
    [client.parse("SELECT $1 + 1, current_date IS NULL", "one"), client.sync()],
    [client.parse("SELECT $1::text", ""), client.sync()],
    [client.parse("SHOW search_path", "show"), client.sync()],
    [client.parse("EXPLAIN (COSTS OFF) SELECT * FROM t WHERE id = $1", "why"), client.sync()],
    [client.parse("BEGIN", "begin"), client.sync()],
    [client.parse("", "empty"), client.sync()],
    [client.describe(b"S", "all"), client.sync()],
    [client.describe(b"S", "one"), client.describe(b"S", "why"), client.sync()],
    [*execute("all", b"1000000000"), client.sync()],
    [*execute("one", b"41"), client.sync()],
    [*execute("", b"unnamed"), client.sync()],
    [*execute("show"), client.sync()],
    [*execute("why", b"1"), client.sync()],
    [*execute("begin"), client.sync()],
    [client.describe(b"P"), client.execute(), client.sync()],
    [*execute("empty"), client.sync()],
    [*execute("one", b"nonsense"), client.query("SELECT 1"), client.sync()],
    [client.close(b"S", "one"), client.sync()],
    [client.parse("SELECT 1", "one"), *execute("one"), client.sync()],
]


FIRST = [
    [client.query("CREATE TABLE t (id int PRIMARY KEY, name text)")],
    [client.query("CREATE SCHEMA s")],
    [client.query("SELECT setseed(0.5)")],
]


def talk(server: Server, steps: list[list[bytes]]) -> list[Answers]:
    """Return what a client is told; its session, if it moves, has done so before each step."""
    peer: Peer = server.connect(application_name="first")
    answers = [peer.greeting]
    for step in (*FIRST, *steps):
        server.wait_until_silent()
        answers.append(peer.ask(*step))
    return answers


BEGIN_TWICE = [
    [client.parse("BEGIN", "begin"), client.sync()],
    [*execute("begin"), client.sync()],
    [client.describe(b"P"), client.execute(), client.sync()],
]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(STEPS), max_size=25))
@example(BEGIN_TWICE)
def test_a_client_cannot_tell_that_its_session_moves(steps: list[list[bytes]]) -> None:
    with two_servers() as (staying, moving):
        assert talk(moving, steps) == talk(staying, steps)
        assert not staying.departures
        assert len(moving.departures) >= len(FIRST)


def test_all_steps_in_their_order_look_alike_too() -> None:
    with two_servers() as (staying, moving):
        assert talk(moving, STEPS) == talk(staying, STEPS)
        assert len(moving.departures) > len(STEPS) // 2


@pytest.fixture
def moving() -> Iterator[Server]:
    server = Server("postgres", moves=True)
    yield server
    server.stop()


def last(server: Server) -> SessionRecord:
    """Return the record that the session has left behind."""
    assert server.wait_until_silent()
    return decode(server.departures[-1].record)


def test_half_a_message_moves_and_is_completed_elsewhere(moving: Server) -> None:
    peer = moving.connect()
    message = client.query("SELECT 'whole'")
    for at in range(0, len(message), 3):
        peer.socket.sendall(message[at : at + 3])
        moving.wait_until_silent()
    assert rows(peer.until_ready()) == [[b"whole"]]


def test_what_is_skipped_up_to_a_sync_is_skipped_elsewhere(moving: Server) -> None:
    peer = moving.connect()
    peer.send(client.parse("SELECT nonsense", ""))
    assert letters(peer.until("E"))[-1] == "E"
    assert last(moving).skipping
    peer.send(client.parse("SELECT 1", "a"), client.query("SELECT 1"))
    assert letters(peer.ask(client.sync())) == "Z"
    assert not last(moving).skipping
    assert errors(peer.ask(*execute("a"), client.sync()))[0]["C"] == "26000"


def test_a_columns_change_is_found_after_a_move(moving: Server) -> None:
    peer = moving.connect()
    peer.query("CREATE TABLE t (id int PRIMARY KEY)")
    peer.ask(client.parse("SELECT * FROM t", "a"), client.sync())
    assert last(moving).statements[0].columns
    peer.query("ALTER TABLE t ADD COLUMN more int")
    failed = errors(peer.ask(*execute("a"), client.sync()))
    assert failed[0]["M"] == "cached plan must not change result type"


@pytest.mark.parametrize(
    ("text", "state"),
    [("BEGIN", "open"), ("BEGIN; SELECT nonsense", "failed"), ("BEGIN; SAVEPOINT a", "open")],
)
def test_a_transaction_moves(moving: Server, text: str, state: str) -> None:
    peer = moving.connect()
    peer.query(text)
    block = last(moving).block
    assert block is not None
    assert block.state == state
    assert moving.departures[-1].deadline is None
    peer.query("ROLLBACK")
    assert last(moving).block is None


def test_a_transaction_sees_what_it_saw_however_often_it_moves(moving: Server) -> None:
    """The store forgets at once what nobody reads: somebody shows the snapshot all the while."""
    moving.connect().query("CREATE TABLE t (id int PRIMARY KEY, n int)")
    peer, other = moving.connect(), Server("postgres", moves=False)
    other.store = moving.store
    writer = other.connect()
    writer.query("INSERT INTO t VALUES (1, 0)")
    peer.query("BEGIN ISOLATION LEVEL REPEATABLE READ")
    for number in range(1, 5):
        moving.wait_until_silent()
        assert peer.rows("SELECT n FROM t") == [[b"0"]]
        writer.query(f"UPDATE t SET n = {number}")
    peer.query("COMMIT")
    assert peer.rows("SELECT n FROM t") == [[b"4"]]
    assert len(moving.departures) > 5
    assert moving.wait_until_silent()
    assert not moving.store.readers
    other.stop()


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        (["DECLARE c CURSOR FOR SELECT 1"], "it has open portals"),
        (
            [
                "CREATE TABLE t (name text)",
                f"INSERT INTO t VALUES (repeat('x', {MOVED_BYTES_MAX}))",
            ],
            "its transaction has written too much",
        ),
        (["CREATE TABLE t (n int)", "INSERT INTO t VALUES (1)"], None),
        (["CREATE TABLE t (n int)", "CREATE INDEX ON t (n)"], "its transaction has begun a job"),
        (["SET my.long TO '" + "x" * MOVED_BYTES_MAX + "'"], "its record is too long"),
    ],
    ids=["cursor", "writes", "DDL", "job", "settings"],
)
def test_what_keeps_a_transaction_is_told(
    moving: Server, caplog: pytest.LogCaptureFixture, texts: list[str], reason: str | None
) -> None:
    peer = moving.connect()
    with caplog.at_level("INFO"):
        peer.query("BEGIN")
        assert moving.wait_until_silent()
        for text in texts:
            assert not errors(peer.query(text))
        assert moving.wait_until_silent() is (reason is None)
        peer.query("COMMIT")
    told = [record.reason for record in caplog.records if record.message == "session stays"]  # type: ignore[attr-defined]
    assert told == ([reason] if reason else [])


def test_a_held_cursor_keeps_its_session_until_it_is_closed(moving: Server) -> None:
    peer = moving.connect()
    assert moving.wait_until_silent()
    peer.query("DECLARE c CURSOR WITH HOLD FOR SELECT 1")
    assert not moving.wait_until_silent()
    peer.query("CLOSE c")
    assert moving.wait_until_silent()


def test_a_timeout_of_a_transaction_counts_on_elsewhere(moving: Server) -> None:
    peer = moving.connect()
    peer.query("SET idle_in_transaction_session_timeout TO '300ms'")
    peer.query("BEGIN")
    assert moving.wait_until_silent()
    (fields,) = errors(peer.until("E"))
    assert (fields["S"], fields["C"]) == ("FATAL", "25P03")
    assert last_block(moving) is not None


def last_block(server: Server) -> BlockRecord | None:
    return decode(server.departures[-1].record).block


def test_a_transaction_grows_old_elsewhere() -> None:
    with two_servers("dsql") as (_, moving):
        peer = moving.connect()
        peer.query("BEGIN")
        peer.query("SELECT 1 FROM sys.jobs")
        first = last(moving).block
        peer.query("SELECT 1 FROM sys.jobs")
        second = last(moving).block
        assert first is not None
        assert first.transaction is not None
        assert first.transaction.start_timestamp > 0
        assert second is not None
        assert second.transaction is not None
        assert second.transaction.started_at == first.transaction.started_at


@pytest.mark.parametrize("text", ["SELECT 1", "SHOW TimeZone", "SET LOCAL TimeZone TO 'UTC'", ""])
def test_the_unnamed_portal_is_at_its_end_elsewhere_too(text: str) -> None:
    steps = [
        [client.query("BEGIN")],
        [client.parse(text, ""), *execute(""), client.sync()],
        [client.describe(b"P"), client.execute(), client.sync()],
        [client.query("ROLLBACK")],
    ]
    with two_servers() as (staying, moving):
        assert talk(moving, steps) == talk(staying, steps)
        assert len(moving.departures) >= len(FIRST) + len(steps)


def test_statements_that_are_too_long_for_a_record_stay(moving: Server) -> None:
    peer = moving.connect()
    text = "SELECT '" + "x" * RECORD_BYTES_MAX + "'"
    peer.ask(client.parse(text, "long"), client.sync())
    assert not moving.wait_until_silent()
    assert letters(peer.ask(*execute("long"), client.sync())) == "2TDCZ"


def test_settings_that_are_too_long_for_a_record_stay(moving: Server) -> None:
    peer = moving.connect()
    peer.query("SET my.long TO '" + "x" * RECORD_BYTES_MAX + "'")
    assert not moving.wait_until_silent()
    assert peer.rows("SELECT length(current_setting('my.long'))") == [
        [str(RECORD_BYTES_MAX).encode()]
    ]


def test_a_record_is_small(moving: Server) -> None:
    peer = moving.connect(application_name="psql", client_encoding="UTF8")
    assert len(encode(last(moving))) < 200
    for number in range(10):
        text = f"SELECT oid, relname, relnamespace FROM pg_class WHERE oid = $1 AND relnatts = {number}"
        peer.ask(client.parse(text, f"_pg3_{number}"), client.sync())
    assert len(encode(last(moving))) < 2_000


def test_the_encoding_of_a_client_moves_with_it(moving: Server) -> None:
    peer = moving.connect(client_encoding="windows-1252")
    assert moving.wait_until_silent()
    (row,) = rows(peer.ask(client.message(b"Q", b"SELECT '\x80', length('\x80')\0")))
    assert row == [b"\x80", b"1"]
    peer.query("BEGIN; SET LOCAL client_encoding = 'UTF8'")
    assert moving.wait_until_silent()
    assert peer.rows("SELECT 'é'") == [["é".encode()]]
    peer.query("ROLLBACK")
    assert rows(peer.ask(client.message(b"Q", b"SELECT '\x80'\0"))) == [[b"\x80"]]


def test_an_idle_session_is_ended_elsewhere_in_time() -> None:
    server = Server("postgres", moves=True)
    peer = server.connect()
    peer.query("SET idle_session_timeout TO '200ms'")
    (fields,) = errors(peer.until("E"))
    assert (fields["S"], fields["C"]) == ("FATAL", "57P05")
    assert server.departures
    server.stop()


def test_the_age_of_a_session_moves_with_it(moving: Server) -> None:
    peer = moving.connect()
    first = last(moving)
    peer.query("SELECT 1")
    assert last(moving).deadline == first.deadline
    assert moving.departures[-1].deadline == first.deadline


def test_a_session_of_a_dropped_role_ends_with_its_next_statement(moving: Server) -> None:
    peer = moving.connect()
    peer.query("CREATE ROLE r WITH LOGIN")
    peer.query("AWS IAM GRANT r TO 'arn:aws:iam::111122223333:role/client'")
    other = moving.connect(user="r")
    assert other.rows("SELECT current_user") == [[b"r"]]
    assert moving.wait_until_silent()
    peer.query("AWS IAM REVOKE r FROM 'arn:aws:iam::111122223333:role/client'")
    peer.query("DROP ROLE r")
    answers = other.ask_for_the_last_time("SELECT 1")
    assert errors(answers)[0]["C"] == "57P01"


@pytest.mark.parametrize(
    "changed",
    [{"statement_timeout": "nonsense"}, {"no_such_parameter": "1"}, {"search_path": '"'}],
    ids=str,
)
def test_settings_that_no_session_has_are_refused(moving: Server, changed: dict[str, str]) -> None:
    moving.connect()
    record = last(moving)
    record.settings.changed.update(changed)
    check_refused(moving, record)


def test_a_whole_message_in_a_record_is_refused(moving: Server) -> None:
    moving.connect()
    fields = {name: getattr(last(moving), name) for name in SessionRecord.__struct_fields__}
    check_refused(moving, SessionRecord(**fields | {"partial": client.query("SELECT 1")}))


def check_refused(server: Server, record: SessionRecord) -> None:
    """The session ends with an error that is logged; whoever runs it goes on."""
    session, peer = server.pair(server.environment())
    connection = open_connection(session._connection._socket, None)
    assert Session(record, connection, server.environment()).run() is None
    (fields,) = errors(peer.until("E"))
    assert fields["C"] == "XX000"
    peer.socket.close()


def test_a_session_that_moves_keeps_its_id() -> None:
    with two_servers("dsql") as (_, moving):
        peer = moving.connect()
        known = peer.rows("SELECT sys.current_session_id()")
        assert peer.rows("SELECT sys.current_session_id()") == known
        assert moving.connect().rows("SELECT sys.current_session_id()") != known


@pytest.mark.parametrize("has_spoken", [True, False])
def test_a_cancel_on_the_way_is_meant_for_what_the_client_has_said(
    moving: Server, has_spoken: bool
) -> None:
    moving.connect()
    record = last(moving)
    before, peer = moving.pair(moving.environment())
    connection, question = before._connection, client.query("SELECT 'answered'")
    connection.never_block()
    if has_spoken:
        peer.send(question)
    has_come = threading.Event()

    def cancel() -> None:
        arrived.interrupts.cancel()
        has_come.set()

    arrived = Session(record, connection, moving.environment(), arrived=cancel)
    living = threading.Thread(target=arrived.run)
    living.start()
    if not has_spoken:
        assert has_come.wait(10)
        while arrived.interrupts.state != RESTING:
            time.sleep(0.001)
        peer.send(question)
    answers = peer.until_ready()
    assert [fields["C"] for fields in errors(answers)] == (["57014"] if has_spoken else [])
    peer.socket.close()
    living.join(10)
