"""What waits is ended too: a replay, a wait for a job or for a replica, by a timeout or a cancel."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from memory_server import MemorySnapshot, Server, errors

from dsql.session.interrupts import Interrupts
from dsql.transaction.interface import CommitOutcome
from dsql.wire import client

TIMED_OUT = ("57014", "canceling statement due to statement timeout")
CANCELLED = ("57014", "canceling statement due to user request")


@pytest.mark.one_process
def test_the_runs_of_a_transaction_that_lost_share_their_statements_timeout(postgres: Server):
    first, second = postgres.connect(), postgres.connect()
    first.rows("CREATE TABLE t (id int PRIMARY KEY, n int)")
    first.rows("INSERT INTO t VALUES (1, 1)")
    interrupts, commit = postgres.sessions[0].interrupts, postgres.store.commit

    def lose(encoded: bytes, identity: bytes, premises: bytes = b"") -> CommitOutcome:
        postgres.store.commit = commit  # type: ignore[method-assign]
        second.rows("UPDATE t SET n = n + 10")
        assert interrupts.deadline
        interrupts.deadline = time.monotonic()
        return commit(encoded, identity, premises)

    first.rows("SET statement_timeout = '1h'")
    for text in (
        "BEGIN ISOLATION LEVEL REPEATABLE READ",
        "SELECT pg_sleep(0)",
        "UPDATE t SET n = n + 1",
    ):
        first.rows(text)
    postgres.store.commit = lose  # type: ignore[method-assign]
    assert first.fails("COMMIT") == TIMED_OUT
    assert first.rows("SELECT n FROM t") == [[b"11"]]


@pytest.mark.one_process
def test_a_run_of_a_transaction_that_lost_can_be_cancelled(postgres: Server):
    first, second = postgres.connect(), postgres.connect()
    first.rows("CREATE TABLE t (id int PRIMARY KEY, n int)")
    first.rows("INSERT INTO t VALUES (1, 1)")
    interrupts, store = postgres.sessions[0].interrupts, postgres.store
    commit, snapshot = store.commit, store.snapshot

    def lose(encoded: bytes, identity: bytes, premises: bytes = b"") -> CommitOutcome:
        store.commit = commit  # type: ignore[method-assign]
        second.rows("UPDATE t SET n = n + 10")
        store.snapshot = begin_anew  # type: ignore[method-assign]
        return commit(encoded, identity, premises)

    def begin_anew(timestamp: int, reader: object) -> MemorySnapshot:
        store.snapshot = snapshot  # type: ignore[method-assign]
        interrupts.cancel()
        return snapshot(timestamp, reader)

    for text in (
        "BEGIN ISOLATION LEVEL REPEATABLE READ",
        "SELECT pg_sleep(0)",
        "UPDATE t SET n = n + 1",
    ):
        first.rows(text)
    store.commit = lose  # type: ignore[method-assign]
    assert first.fails("COMMIT") == CANCELLED
    assert first.rows("SELECT n FROM t") == [[b"11"]]


@pytest.mark.one_process
@pytest.mark.parametrize("ends", [CANCELLED, TIMED_OUT])
def test_who_waits_for_a_replica_can_be_interrupted(postgres: Server, ends: tuple[str, str]):
    peer, store = postgres.connect(), postgres.store
    peer.rows("CREATE TABLE t (id int PRIMARY KEY)")
    peer.rows("SET statement_timeout = '1h'")
    interrupts, snapshot = postgres.sessions[0].interrupts, store.snapshot

    def wait(timestamp: int, reader: object) -> MemorySnapshot:
        store.snapshot = snapshot  # type: ignore[method-assign]
        if ends is CANCELLED:
            interrupts.cancel()
        else:
            assert interrupts.deadline
            interrupts.deadline = time.monotonic()
        interrupts.pause(3600)  # as `storage.local_replica` does
        raise AssertionError("nothing has ended the wait")

    store.snapshot = wait  # type: ignore[method-assign]
    assert peer.fails("SELECT * FROM t") == ends
    assert peer.rows("SELECT * FROM t") == []


@pytest.mark.one_process
def test_who_waits_for_a_job_can_be_cancelled(server: Server):
    waiting: list[Interrupts] = []
    plain = server.environment()
    environment = replace(plain, request_jobs=lambda: [one.cancel() for one in waiting])
    peer = server.start(environment)
    peer.until_ready()
    peer.rows("CREATE TABLE t (id int PRIMARY KEY, n int)")
    ((job,),) = peer.rows("CREATE INDEX ASYNC ON t (n)")
    assert job is not None
    waiting.append(server.sessions[0].interrupts)
    assert peer.fails(f"CALL sys.wait_for_job('{job.decode()}')") == CANCELLED
    assert peer.rows(f"SELECT status FROM sys.jobs WHERE job_id = '{job.decode()}'") == [
        [b"submitted"]
    ]


@pytest.mark.one_process
@pytest.mark.parametrize("texts", [["BEGIN"], ["BEGIN", "SELECT pg_sleep(60)"]])
def test_transaction_timeout_ends_a_session_idle_or_at_work(postgres: Server, texts: list[str]):
    clock = replace(postgres.environment(), now=lambda: time.time_ns() // 1000)
    peer = postgres.start(clock)
    peer.until_ready()
    peer.rows("SET transaction_timeout = '20ms'")
    peer.send(*map(client.query, texts))
    (fields,) = errors(peer.until("E"))
    assert (fields["S"], fields["C"]) == ("FATAL", "25P04")
    assert fields["M"] == "terminating connection due to transaction timeout"
