"""Sessions whose clients are silent leave their query processor, and come back as they were."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from running_cluster import DSQL, RunningCluster

MANY = 500
PSS_PER_SESSION_MAX = (
    16 * 1024
)  # measured 5 KiB; leaves room for what else the agent does meanwhile
PARK = ("--park-seconds", "0.1")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    options = (*PARK, "--connection-rate", "0")
    running = RunningCluster(tmp_path_factory.mktemp("parking"), "postgres", options).start()
    yield running
    running.stop()


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def wait_until_parked(cluster: RunningCluster, count: int = 1) -> None:
    wait_until(lambda: cluster.host()["parked"] == count)


def connect(cluster: RunningCluster, **options: Any) -> psycopg.Connection[Any]:
    return psycopg.connect(**cluster.dsn(), autocommit=True, **options)


def query_processors(cluster: RunningCluster) -> list[int]:
    """Return the children of the seed that serve a cluster: those that have it mapped."""
    seed = cluster.role("seed")
    children = Path(f"/proc/{seed}/task/{seed}/children").read_text().split()
    return [
        int(child) for child in children if "data.mdb" in Path(f"/proc/{child}/maps").read_text()
    ]


def test_a_session_is_the_same_after_it_was_parked(cluster: RunningCluster) -> None:
    with connect(cluster, application_name="before") as connection:
        connection.prepare_threshold = 0
        connection.execute("CREATE TABLE kept (id int PRIMARY KEY, name text)")
        connection.execute("INSERT INTO kept VALUES (1, 'one')")
        connection.execute("SET search_path TO public, pg_catalog")
        connection.execute("SET my.own TO 'mine'")
        assert connection.execute("SELECT name FROM kept WHERE id = %s", (1,)).fetchone() == (
            "one",
        )
        for _ in range(2):
            wait_until_parked(cluster)
            found = connection.execute("SELECT name FROM kept WHERE id = %s", (1,)).fetchone()
            assert found == ("one",)
            settings = "application_name", "search_path", "my.own"
            shown = [connection.execute(f"SHOW {name}").fetchone() for name in settings]
            assert shown == [("before",), ("public, pg_catalog",), ("mine",)]
            prepared = connection.execute("SELECT count(*) FROM kept WHERE id > %s", (0,))
            assert prepared.fetchone() == (1,)
        told = cluster.host()
        assert told["wakes"] >= 2
        assert told["parkings"] >= told["wakes"]
        assert told["wake_ms"] > 0


def test_a_parked_session_survives_every_query_processor(cluster: RunningCluster) -> None:
    with connect(cluster) as connection, connect(cluster) as busy:
        connection.execute("SET my.own TO 'mine'")
        busy.execute("BEGIN")
        wait_until_parked(cluster)
        processes = query_processors(cluster)
        assert processes
        for process_id in processes:
            os.kill(process_id, signal.SIGKILL)
        assert connection.execute("SHOW my.own").fetchone() == ("mine",)
        with pytest.raises(psycopg.OperationalError):
            busy.execute("SELECT 1")


def test_the_end_of_a_parked_session_is_noticed(cluster: RunningCluster) -> None:
    connections = [connect(cluster) for _ in range(3)]
    wait_until_parked(cluster, 3)
    for connection in connections:
        connection.close()
    wait_until(lambda: cluster.host()["parked"] == cluster.host()["sessions"] == 0)


def test_an_idle_session_times_out_while_it_is_parked(cluster: RunningCluster) -> None:
    with connect(cluster) as connection:
        before = cluster.host()["parkings"]
        connection.execute("SET idle_session_timeout TO '1s'")
        assert select.select([connection.fileno()], [], [], 30)[0]
        assert cluster.host()["parkings"] > before
        with pytest.raises(psycopg.errors.IdleSessionTimeout):
            connection.execute("SELECT 1")


def pss(process_ids: list[int]) -> int:
    """Return the bytes of all these processes, shared pages divided by who shares them."""
    total = 0
    for process_id in process_ids:
        for line in Path(f"/proc/{process_id}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total


def test_many_parked_sessions_cost_little(cluster: RunningCluster) -> None:
    with connect(cluster):
        wait_until_parked(cluster)
        before = pss([cluster.role("host")])
        dsn = cluster.dsn()
        connections = [psycopg.connect(**dsn, autocommit=True) for _ in range(MANY)]
        for connection in connections:
            connection.execute("SELECT 1")
        wait_until_parked(cluster, MANY + 1)
        each = (pss([cluster.role("host")]) - before) / MANY
        print(f"{each / 1024:.1f} KiB for each parked session")  # noqa: T201
        assert each < PSS_PER_SESSION_MAX
        for connection in connections:
            assert connection.execute("SELECT 1").fetchone() == (1,)
            connection.close()


def test_an_agent_drains_without_harm_to_anybody(cluster: RunningCluster) -> None:
    before = cluster.role("host")
    with connect(cluster) as parked, connect(cluster) as open_, connect(cluster) as busy:
        parked.execute("SET my.own TO 'mine'")
        open_.execute("CREATE TABLE drained (id int PRIMARY KEY)")
        open_.execute("BEGIN")
        open_.execute("INSERT INTO drained VALUES (1)")
        computing = threading.Thread(target=busy.execute, args=("SELECT pg_sleep(3)",))
        computing.start()
        wait_until_parked(cluster)
        words = "agent", "drain", "--data", cluster.directory / "data"
        subprocess.run([DSQL, *words], check=True, timeout=30)
        cluster.wait_for_restart("host", before, 30)
        assert parked.execute("SHOW my.own").fetchone() == ("mine",)
        open_.execute("COMMIT")
        assert open_.execute("SELECT id FROM drained").fetchone() == (1,)
        computing.join(30)
        assert busy.execute("SELECT 1").fetchone() == (1,)
        with connect(cluster) as new:  # its relay waits for the next agent
            assert new.execute("SELECT id FROM drained").fetchone() == (1,)


def test_parked_clients_do_not_notice_a_killed_agent_and_are_told_when_it_stops(
    tmp_path: Path,
) -> None:
    cluster = RunningCluster(tmp_path / "c", options=PARK).start()
    try:
        with connect(cluster) as connection, connect(cluster) as running:
            running.execute("BEGIN")
            wait_until_parked(cluster)
            before = cluster.role("host")
            os.kill(before, signal.SIGKILL)
            assert connection.execute("SELECT 1").fetchone() == (1,)
            assert cluster.role("host") != before
            wait_until_parked(cluster)
            running.execute("COMMIT")  # in a process of the agent that was killed
            wait_until_parked(cluster, 2)
            assert running.execute("SELECT 1").fetchone() == (1,)
            cluster.stop()
            with pytest.raises(psycopg.errors.AdminShutdown):
                connection.execute("SELECT 1")
    finally:
        cluster.stop()


def test_a_parked_session_is_seen_and_ended_from_another_one(cluster: RunningCluster) -> None:
    activity = "SELECT state, query FROM pg_stat_activity WHERE pid = %s"
    with connect(cluster, application_name="silent") as silent, connect(cluster) as other:
        number = silent.execute("SELECT pg_backend_pid()").fetchone()
        assert number is not None
        wait_until_parked(cluster, 2)
        assert other.execute(activity, number).fetchone() == ("idle", "SELECT pg_backend_pid()")
        assert other.execute("SELECT count(*) FROM pg_stat_activity").fetchone() == (2,)
        assert other.execute("SELECT pg_cancel_backend(%s)", number).fetchone() == (True,)
        assert silent.execute("SELECT 1").fetchone() == (1,)
        wait_until_parked(cluster, 2)
        ended = other.execute("SELECT pg_terminate_backend(%s, 10000)", number)
        assert ended.fetchone() == (True,)
        with pytest.raises(psycopg.OperationalError, match="administrator command"):
            silent.execute("SELECT 1")
        assert other.execute(activity, number).fetchone() is None
