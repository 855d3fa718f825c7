"""What waits is ended too: a replay by its statement's timeout, a wait for a job by a cancel."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from memory_server import Server, errors

from dsql.session.interrupts import Interrupts
from dsql.transaction.interface import CommitOutcome
from dsql.wire import client

TIMED_OUT = ("57014", "canceling statement due to statement timeout")
CANCELLED = ("57014", "canceling statement due to user request")


def test_the_runs_of_a_transaction_that_lost_share_their_statements_timeout(postgres: Server):
    first, second = postgres.connect(), postgres.connect()
    first.rows("CREATE TABLE t (id int PRIMARY KEY, n int)")
    first.rows("INSERT INTO t VALUES (1, 1)")
    interrupts, commit = postgres.sessions[0].interrupts, postgres.store.commit

    def lose(encoded: bytes, identity: bytes) -> CommitOutcome:
        postgres.store.commit = commit  # type: ignore[method-assign]
        second.rows("UPDATE t SET n = n + 10")
        assert interrupts.deadline
        interrupts.deadline = time.monotonic()
        return commit(encoded, identity)

    first.rows("SET statement_timeout = '1h'")
    for text in ("BEGIN", "SELECT pg_sleep(0)", "UPDATE t SET n = n + 1"):
        first.rows(text)
    postgres.store.commit = lose  # type: ignore[method-assign]
    assert first.fails("COMMIT") == TIMED_OUT
    assert first.rows("SELECT n FROM t") == [[b"11"]]


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
