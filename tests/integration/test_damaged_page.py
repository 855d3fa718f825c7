"""Pages of one zone's storage are gone, and LMDB ends whoever scans them: once, and nobody else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator

import psycopg
import pytest
from running_cluster import DSQL, RunningCluster

from dsql.chaos.processes import query_processors_of
from dsql.control.layout import Layout
from storage.environment import ENVIRONMENT
from storage.lmdb_format import KINDS, LEAF, PAGE_HEADER

ZONE = "us-east-1a"  # where the agent's query processors read first
ROWS, PAGE_BYTES, SECONDS_MAX = 3_000, 4096, 30
MARKED = b"on a lost page"

Connection = psycopg.Connection[tuple[object, ...]]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    running = RunningCluster(
        tmp_path_factory.mktemp("damaged"), options=("--park-seconds", "0.1")
    ).start()
    with connect(running) as connection:
        connection.execute("create table t (id int primary key, v text)")
        for start in range(0, ROWS, 1_000):
            values = f"generate_series({start}, {start + 999}) n"
            connection.execute(f"insert into t select n, repeat('x', 100) from {values}")
        connection.execute("update t set v = %s where id %% 500 = 250", [MARKED.decode()])
    yield running
    running.stop()


def connect(cluster: RunningCluster) -> Connection:
    return psycopg.connect(**cluster.dsn(), autocommit=True)


def count(connection: Connection) -> object:
    row = connection.execute("select count(v) from t").fetchone()
    assert row is not None
    return row[0]


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS_MAX
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def told(cluster: RunningCluster, name: str) -> int:
    """Return what the zone's storage says of its replica."""
    command = [DSQL, "status", "--json", "--data", cluster.directory / "data"]
    found = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    return sum(
        value
        for role in json.loads(found.stdout)["roles"]
        if (role["role"], role.get("az")) == ("storage", ZONE)
        for key, value in role["values"].items()
        if key.endswith(f".{name}")
    )


def is_up_to_date(cluster: RunningCluster) -> bool:
    """Return whether nobody has a reason to read elsewhere."""
    is_open = told(cluster, "watermark") > 0
    return is_open and not (told(cluster, "behind_seconds") or told(cluster, "suspected"))


def lose_pages(cluster: RunningCluster) -> None:
    """Let the disk have zeros where the marked rows' pages were, in every state that is still there."""
    layout = Layout(cluster.directory / "data")
    data = layout.storage(ZONE, cluster.variables["DSQL_CLUSTER"]) / ENVIRONMENT / "data.mdb"
    content = data.read_bytes()
    lost = 0
    with data.open("r+b", buffering=0) as file:
        for start in range(0, len(content), PAGE_BYTES):
            page = content[start : start + PAGE_BYTES]
            if MARKED in page and PAGE_HEADER.unpack_from(page)[2] & KINDS == LEAF:
                os.pwrite(file.fileno(), bytes(PAGE_BYTES), start)
                lost += 1
    assert lost


@pytest.mark.parametrize("orphaned", [False, True])
def test_lost_pages_end_one_query_processor_and_then_nobody_any_more(
    filled: RunningCluster, orphaned: bool
) -> None:
    """`orphaned`: the seed has died before, so that nobody tells why its query processor has ended."""
    wait_until(lambda: is_up_to_date(filled))
    former = set(query_processors_of(filled.variables["DSQL_CLUSTER"]))
    for process_id in former:
        os.kill(process_id, signal.SIGKILL)  # the next ones begin in their own zone
    wait_until(lambda: not former & set(query_processors_of(filled.variables["DSQL_CLUSTER"])))
    repaired = told(filled, "repaired")
    with connect(filled) as silent:
        assert count(silent) == ROWS
        wait_until(lambda: filled.host()["parked"] == 1)
        if orphaned:
            seed = filled.role("seed")
            os.kill(seed, signal.SIGKILL)
        lose_pages(filled)
        with connect(filled) as victim, pytest.raises(psycopg.OperationalError):
            count(victim)
        wait_until(lambda: told(filled, "suspected") == 1 or told(filled, "repaired") > repaired)
        for _ in range(3):
            with connect(filled) as after:
                assert count(after) == ROWS
        assert count(silent) == ROWS
        wait_until(lambda: told(filled, "repaired") > repaired)
        if orphaned:
            filled.wait_for_restart("seed", seed, SECONDS_MAX)
