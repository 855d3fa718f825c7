"""An agent that was killed is followed by one that knows the sessions which have outlived it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from running_cluster import DSQL, RunningCluster, cancel_an_endless_query

from .test_parking import connect, query_processors, wait_until, wait_until_parked

OPTIONS = ("--park-seconds", "0.2", "--processes", "2")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    running = RunningCluster(tmp_path_factory.mktemp("adoption"), options=OPTIONS).start()
    yield running
    running.stop()


def kill_agent(cluster: RunningCluster) -> None:
    before = cluster.role("host")
    os.kill(before, signal.SIGKILL)
    cluster.wait_for_restart("host", before, 60)


def kept(cluster: RunningCluster) -> int | None:
    """Return how many sessions the keeper holds, None while there is none."""
    found = cluster.status("keeper").get("kept")
    return None if found is None else int(found)


def connections(cluster: RunningCluster) -> int | None:
    """Return how many clients the agent knows of, None while it does not answer."""
    host = cluster.host()
    return int(host["sessions"]) + int(host["parked"]) if "parked" in host else None


def test_a_session_that_outlives_its_agent_is_counted_cancelled_and_parked_by_the_next(
    cluster: RunningCluster,
) -> None:
    with connect(cluster) as session:
        session.execute("BEGIN")
        session.execute("SET my.own TO 'mine'")
        kill_agent(cluster)
        wait_until(lambda: connections(cluster) == 1)
        cancel_an_endless_query(session)
        session.execute("ROLLBACK")
        wait_until_parked(cluster, 1)
        assert session.execute("SELECT 1").fetchone() == (1,)


def test_statements_that_run_while_there_is_no_agent_do_not_notice(cluster: RunningCluster) -> None:
    with connect(cluster) as session, connect(cluster) as sleeper:
        session.execute("CREATE TABLE outliving (id int PRIMARY KEY, value int)")
        session.execute("INSERT INTO outliving VALUES (1, 0)")
        asleep = threading.Thread(target=sleeper.execute, args=("SELECT pg_sleep(5)",))
        asleep.start()
        before = cluster.role("host")
        os.kill(before, signal.SIGKILL)
        committed = 0

        def commit_until(holds: Callable[[], bool]) -> None:
            nonlocal committed
            deadline = time.monotonic() + 60
            while not holds():
                assert time.monotonic() < deadline
                session.execute("UPDATE outliving SET value = value + 1 WHERE id = 1")
                committed += 1

        commit_until(lambda: cluster.role("host") != before)
        commit_until(lambda: connections(cluster) == 2)
        assert session.execute("SELECT value FROM outliving").fetchone() == (committed,)
        asleep.join(60)
        wait_until_parked(cluster, 2)
        assert sleeper.execute("SELECT 1").fetchone() == (1,)


def test_parked_sessions_go_on_after_each_kill_of_agent_and_keeper(
    cluster: RunningCluster,
) -> None:
    with contextlib.ExitStack() as stack:
        sessions = [stack.enter_context(connect(cluster)) for _ in range(20)]
        for number, session in enumerate(sessions):
            session.execute(f"SET my.own TO '{number}'")
        for killed in ("host", "host", "keeper", "host"):
            wait_until_parked(cluster, len(sessions))
            before = cluster.role(killed)
            os.kill(before, signal.SIGKILL)
            if killed == "keeper":
                cluster.wait_for_restart("keeper", before, 60)
                wait_until(lambda: kept(cluster) == len(sessions))
            else:
                for number, session in enumerate(sessions):
                    assert session.execute("SHOW my.own").fetchone() == (str(number),)


def test_after_a_drain_the_next_agent_has_all_sessions(cluster: RunningCluster) -> None:
    with connect(cluster) as parked, connect(cluster) as open_:
        open_.execute("BEGIN")
        open_.execute("SELECT 1")
        wait_until_parked(cluster, 1)
        before = cluster.role("host")
        words = "agent", "drain", "--data", cluster.directory / "data"
        subprocess.run([DSQL, *words], check=True, timeout=30)
        cluster.wait_for_restart("host", before, 60)
        wait_until(lambda: connections(cluster) == 2)
        assert parked.execute("SELECT 1").fetchone() == (1,)
        open_.execute("COMMIT")


def test_the_next_agent_leaves_no_process_uncounted(cluster: RunningCluster) -> None:
    kill_agent(cluster)
    wait_until(lambda: cluster.host().get("warm") == 4)
    seed = cluster.role("seed")
    children = Path(f"/proc/{seed}/task/{seed}/children")
    wait_until(
        lambda: len(children.read_text().split()) <= cluster.host().get("query_processors", 0)
    )


def holds(process_id: int, secret: bytes) -> bool:
    """Return whether a process has the secret anywhere in its memory."""
    with open(f"/proc/{process_id}/mem", "rb", 0) as memory:
        for line in Path(f"/proc/{process_id}/maps").read_text().splitlines():
            span, rights = line.split()[:2]
            first, end = (int(address, 16) for address in span.split("-"))
            if rights.startswith("rw"):
                with contextlib.suppress(OSError):  # unmapped meanwhile, or behind a file's end
                    memory.seek(first)
                    if secret in memory.read(end - first):
                        return True
    return False


def test_nobody_who_could_forge_a_voucher_serves_sessions(cluster: RunningCluster) -> None:
    secret = (cluster.directory / "data" / "run" / "voucher.key").read_bytes()
    with connect(cluster):
        assert holds(cluster.role("host"), secret)
        assert not holds(cluster.role("seed"), secret)
        processes = query_processors(cluster)
        assert processes
        assert not any(holds(process_id, secret) for process_id in processes)
