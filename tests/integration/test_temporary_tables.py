"""Temporary tables in real query processors, which may make no file and are killed at any time."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import psycopg
import pytest
from running_cluster import RunningCluster

from dsql.chaos.processes import query_processors_of

PARKED_AFTER_SECONDS = 1.0


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    running = RunningCluster(tmp_path_factory.mktemp("temp"), "postgres").start()
    yield running
    running.stop()


def test_a_confined_process_keeps_more_rows_than_a_transaction_may_write(
    cluster: RunningCluster,
) -> None:
    with psycopg.connect(**cluster.dsn(), autocommit=True) as session:
        session.execute("create temp table t (n int primary key, s text)")
        for start in range(0, 60_000, 10_000):
            session.execute(
                "insert into t select n, repeat('x', 500) from generate_series(%s::int, %s) n",
                [start, start + 9_999],
            )
        session.execute("create index on t (s, n)")
        found = session.execute("select count(*), sum(n), min(length(s)) from t").fetchone()
        assert found == (60_000, sum(range(60_000)), 500)
        found = session.execute("select n from t where s = repeat('x', 500) and n = 7").fetchone()
        assert found == (7,)
        with session.cursor().copy("copy t from stdin") as copy:
            copy.write_row((-1, "y"))
        assert session.execute("select s from t where n < 0").fetchone() == ("y",)


def test_a_full_store_fails_statements_and_leaves_its_session(cluster: RunningCluster) -> None:
    with psycopg.connect(**cluster.dsn(), autocommit=True) as session:
        session.execute("set temp_file_limit = '20MB'")
        session.execute("create temp table t (n int, s text)")
        with pytest.raises(psycopg.errors.ConfigurationLimitExceeded):
            for _ in range(10):
                session.execute(
                    "insert into t select n, repeat('x', 800) from generate_series(1, 5000) n"
                )
        (kept,) = session.execute("select count(*) from t").fetchone() or (0,)
        assert kept in range(10_000, 30_000, 5_000)
        session.execute("truncate t")
        for _ in range(3):  # what was given up makes room
            session.execute(
                "insert into t select n, repeat('x', 800) from generate_series(1, 3000) n"
            )
        assert session.execute("select count(*) from t").fetchone() == (9_000,)


def test_a_silent_session_is_not_parked_while_it_has_some(cluster: RunningCluster) -> None:
    with psycopg.connect(**cluster.dsn(), autocommit=True) as session:
        session.execute("create temp table t (n int)")
        session.execute("insert into t values (1)")
        deadline = time.monotonic() + 3 * PARKED_AFTER_SECONDS
        told = cluster.host()
        while time.monotonic() < deadline or not told["temporary_bytes"]:
            assert told["parked"] == 0
            told = cluster.host()
        assert told["temporary_sessions"] == 1
        assert session.execute("select n from t").fetchone() == (1,)


def test_nothing_is_left_of_a_process_that_is_killed(cluster: RunningCluster) -> None:
    before = {path for path in (cluster.directory / "data").rglob("*") if path.is_file()}
    with psycopg.connect(**cluster.dsn(), autocommit=True) as session:
        session.execute("create temp table t (n int)")
        session.execute("insert into t select * from generate_series(1, 100000)")
        for process in query_processors_of(cluster.variables["DSQL_CLUSTER"]):  # one has served it
            os.kill(process, signal.SIGKILL)
        with pytest.raises(psycopg.OperationalError):
            session.execute("select 1")
    with psycopg.connect(**cluster.dsn(), autocommit=True) as session:
        with pytest.raises(psycopg.errors.UndefinedTable):
            session.execute("select * from t")
        session.execute("create temp table t (n int)")
    after = {path for path in (cluster.directory / "data").rglob("*") if path.is_file()}
    assert not {path for path in after - before if path.stat().st_size > 1 << 20}
