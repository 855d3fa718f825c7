"""A statement that waits for its job leaves nothing behind, even if its session is killed."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from running_cluster import RunningCluster

from dsql.chaos.processes import query_processors_of
from dsql.control.layout import Layout

ROWS, ROWS_PER_INSERT = 40_000, 2_000
SECONDS_MAX = 40.0


@pytest.fixture
def postgres_cluster(tmp_path: Path) -> Iterator[RunningCluster]:
    running = RunningCluster(tmp_path, profile="postgres").start()
    yield running
    running.stop()


def test_an_index_whose_session_was_killed_goes_away(postgres_cluster: RunningCluster) -> None:
    cluster = postgres_cluster
    with psycopg.connect(**cluster.dsn(), autocommit=True) as connection:
        connection.execute("create table t (id int primary key, v text)")
        for start in range(0, ROWS, ROWS_PER_INSERT):
            values = f"generate_series({start}, {start + ROWS_PER_INSERT - 1}) n"
            connection.execute(f"insert into t select n, 'v' || n from {values}")
    building = threading.Thread(target=build, args=(cluster,))
    building.start()
    with psycopg.connect(**cluster.dsn(), autocommit=True) as connection:
        wait_for(connection, "select count(*) from sys.jobs where status = 'processing'", 1)
    layout = Layout(cluster.directory / "data")
    for process_id in query_processors_of(layout, cluster.variables["DSQL_CLUSTER"]):
        os.kill(process_id, signal.SIGKILL)
    building.join()
    with psycopg.connect(**cluster.dsn(), autocommit=True) as connection:
        wait_for(connection, "select count(*) from pg_indexes where indexname = 'by_v'", 0)
        connection.execute("create index by_v on t (v)")
        wait_for(connection, "select count(*) from pg_indexes where indexname = 'by_v'", 1)


def build(cluster: RunningCluster) -> None:
    with (
        psycopg.connect(**cluster.dsn(), autocommit=True) as connection,
        pytest.raises(psycopg.OperationalError),
    ):
        connection.execute("create index by_v on t (v)")


def wait_for(connection: psycopg.Connection[tuple[object, ...]], query: str, count: int) -> None:
    deadline = time.monotonic() + SECONDS_MAX
    while connection.execute(query).fetchone() != (count,):
        assert time.monotonic() < deadline, query
        time.sleep(0.02)
