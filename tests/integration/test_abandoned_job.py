"""Jobs whose process has died: one that its statement waits for leaves nothing behind, others go on."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator

import psycopg
import pytest
from running_cluster import RunningCluster

from dsql.chaos.processes import query_processors_of

ROWS, ROWS_PER_INSERT = 40_000, 2_000
SECONDS_MAX = 40.0


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    """A cluster with a table that an index is made of for a while."""
    running = RunningCluster(tmp_path_factory.mktemp("jobs"), profile="postgres").start()
    with psycopg.connect(**running.dsn(), autocommit=True) as connection:
        connection.execute("create table t (id int primary key, v text)")
        for start in range(0, ROWS, ROWS_PER_INSERT):
            values = f"generate_series({start}, {start + ROWS_PER_INSERT - 1}) n"
            connection.execute(f"insert into t select n, 'v' || n from {values}")
    yield running
    running.stop()


def test_an_index_whose_session_was_killed_goes_away(filled: RunningCluster) -> None:
    building = threading.Thread(target=build, args=(filled,))
    building.start()
    with psycopg.connect(**filled.dsn(), autocommit=True) as connection:
        wait_for(connection, "select count(*) from sys.jobs where status = 'processing'", 1)
    end_query_processors(filled, signal.SIGKILL)
    building.join()
    with psycopg.connect(**filled.dsn(), autocommit=True) as connection:
        wait_for(connection, "select count(*) from pg_indexes where indexname = 'by_v'", 0)
        connection.execute("create index by_v on t (v)")
        wait_for(connection, "select count(*) from pg_indexes where indexname = 'by_v'", 1)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_job_goes_on_where_its_query_processor_has_ended(
    filled: RunningCluster, how: signal.Signals
) -> None:
    name = f"after_{how.name.lower()}"
    with psycopg.connect(**filled.dsn(), autocommit=True) as connection:
        (job,) = connection.execute(f"create index async {name} on t (v)").fetchone() or ("",)
        is_there = f"select count(*) from sys.jobs where job_id = '{job}' and status "
        wait_for(connection, f"{is_there} <> 'submitted'", 1)
    end_query_processors(filled, how)
    with psycopg.connect(**filled.dsn(), autocommit=True) as connection:
        wait_for(connection, f"{is_there} = 'completed'", 1)
        valid = (
            f"select count(*) from pg_index where indexrelid = '{name}'::regclass and indisvalid"
        )
        wait_for(connection, valid, 1)


def end_query_processors(cluster: RunningCluster, how: signal.Signals) -> None:
    for process_id in query_processors_of(cluster.variables["DSQL_CLUSTER"]):
        os.kill(process_id, how)


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
