"""Many sessions of one cluster share a few query processors, over TLS and through every role."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from running_cluster import RunningCluster

PROCESSES = 2
SESSIONS = 60

Session = psycopg.Connection[tuple[object, ...]]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    directory = tmp_path_factory.mktemp("many")
    # Who is parked goes where there is room by itself, and needs not be asked to leave a process.
    options = ("--processes", str(PROCESSES), "--park-seconds", "600")
    running = RunningCluster(directory, "postgres", options).start()
    with psycopg.connect(**running.dsn(), autocommit=True) as session:
        session.execute("CREATE TABLE counters (id int PRIMARY KEY, n int)")
        session.execute("INSERT INTO counters SELECT g, 0 FROM generate_series(1, 100) g")
    yield running
    running.stop()


@pytest.fixture
def sessions(shared: RunningCluster) -> Iterator[list[Session]]:
    with ExitStack() as opened:
        yield [
            opened.enter_context(psycopg.connect(**shared.dsn(), autocommit=True))
            for _ in range(SESSIONS)
        ]


def query_processors(cluster: RunningCluster) -> list[int]:
    """Return the processes that belong to a cluster, by the name that they give themselves."""
    found = []
    for process_id in cluster.processes():
        try:
            name = Path(f"/proc/{process_id}/comm").read_text().strip()
        except OSError:
            continue
        if name.startswith("dsql: ") and name != "dsql: warm" and len(name) == len("dsql: ") + 8:
            found.append(process_id)
    return found


def test_many_sessions_share_a_few_processes(
    shared: RunningCluster, sessions: list[Session]
) -> None:
    for number, session in enumerate(sessions):
        session.execute(f"SET application_name TO 's{number}'")
        session.execute("BEGIN")
        session.execute("UPDATE counters SET n = %s WHERE id = %s", (number, number + 1))
    assert len(query_processors(shared)) <= PROCESSES
    for number, session in enumerate(sessions):
        shown = session.execute("SHOW application_name").fetchone()
        seen = session.execute("SELECT n FROM counters WHERE id = %s", (number + 1,)).fetchone()
        assert (shown, seen) == ((f"s{number}",), (number,))
        session.execute("COMMIT")
    total = sessions[0].execute("SELECT sum(n) FROM counters").fetchone()
    assert total == (sum(range(SESSIONS)),)


def processor_ticks(process_id: int) -> int:
    """Return how much processor time a process has had, in clock ticks."""
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def busiest(cluster: RunningCluster) -> int:
    """Return the query processor that computes."""
    before = {each: processor_ticks(each) for each in query_processors(cluster)}
    time.sleep(1.0)
    return max(before, key=lambda each: processor_ticks(each) - before[each])


def test_the_death_of_a_process_ends_its_sessions_only(shared: RunningCluster) -> None:
    with ExitStack() as opened:
        busy = opened.enter_context(psycopg.connect(**shared.dsn(), autocommit=True))
        ends: list[str] = []

        def compute() -> None:
            try:
                busy.execute("SELECT count(*) FROM generate_series(1, 10000000000)")
            except psycopg.OperationalError as error:
                ends.append(str(error))

        computing = threading.Thread(target=compute)
        computing.start()
        sessions = []
        for _ in range(8):  # which go elsewhere: that process is busy
            sessions.append(opened.enter_context(psycopg.connect(**shared.dsn(), autocommit=True)))
            time.sleep(0.2)
        victim = busiest(shared)
        os.kill(victim, signal.SIGKILL)
        computing.join(30)
        assert len(ends) == 1
        ended = 0
        for session in sessions:
            try:
                assert session.execute("SELECT 1").fetchone() == (1,)
            except psycopg.OperationalError:
                ended += 1
        assert ended < len(sessions)
        deadline = time.monotonic() + 30
        while victim in query_processors(shared):
            assert time.monotonic() < deadline
        with psycopg.connect(**shared.dsn()) as another:
            assert another.execute("SELECT 1").fetchone() == (1,)


def test_a_cancel_ends_the_statement_of_its_session_only(sessions: list[Session]) -> None:
    ended: list[str | None] = []

    def sleep(session: Session) -> None:
        try:
            session.execute("SELECT pg_sleep(1000)")
        except psycopg.Error as error:
            ended.append(error.sqlstate)

    sleeping = [threading.Thread(target=sleep, args=(session,)) for session in sessions[:4]]
    for thread in sleeping:
        thread.start()
    for number, thread in enumerate(sleeping):
        while thread.is_alive():
            sessions[number].cancel()  # it may come before the statement
            thread.join(0.2)
        assert ended == ["57014"] * (number + 1)
        assert sessions[9].execute("SELECT 1").fetchone() == (1,)


def test_point_reads_go_on_beside_a_long_statement(sessions: list[Session]) -> None:
    scans = [threading.Thread(target=_scan, args=(session,)) for session in sessions[:PROCESSES]]
    for thread in scans:
        thread.start()
    began = time.monotonic()
    try:
        for session in sessions[PROCESSES:]:
            read = "SELECT n FROM counters WHERE id = 1"
            assert session.execute(read).fetchone() is not None
        alive = [thread.is_alive() for thread in scans]
    finally:
        for session, thread in zip(sessions, scans, strict=False):
            while thread.is_alive():
                session.cancel()
                thread.join(0.2)
    assert all(alive), f"the reads took {time.monotonic() - began:.1f} s"


def test_sessions_leave_the_process_of_a_long_statement(
    shared: RunningCluster, sessions: list[Session]
) -> None:
    """They run on elsewhere as they were; what goes on beside the statement is told by nothing else."""
    for number, session in enumerate(sessions):
        session.execute(f"SET application_name TO 's{number}'")
    before = shared.host()
    scan = threading.Thread(target=_scan, args=(sessions[0],))
    scan.start()
    deadline = time.monotonic() + 60
    while shared.host()["moves"] < before["moves"] + 5:
        assert time.monotonic() < deadline
        for number, session in enumerate(sessions[1:], 1):
            assert session.execute("SHOW application_name").fetchone() == (f"s{number}",)
    assert scan.is_alive()
    while scan.is_alive():
        sessions[0].cancel()
        scan.join(0.2)
    assert sessions[0].execute("SHOW application_name").fetchone() == ("s0",)
    assert shared.host()["sheds"] > before["sheds"]


def _scan(session: Session) -> None:
    with pytest.raises(psycopg.errors.QueryCanceled):
        session.execute("SELECT count(*) FROM generate_series(1, 1000000000)")


def test_a_process_ends_that_nobody_knows_of_any_more(shared: RunningCluster) -> None:
    with psycopg.connect(**shared.dsn(), autocommit=True) as session:
        session.execute("BEGIN")
        known = query_processors(shared)
        assert known
        for role in ("host", "seed"):
            os.kill(shared.role(role), signal.SIGKILL)
        deadline = time.monotonic() + 30
        while any(Path(f"/proc/{process_id}").exists() for process_id in known):
            assert time.monotonic() < deadline, "it lives on"
            time.sleep(0.05)
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")
