"""The leader's zone dies, hangs or stops, and its clients see a slower commit and no error."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
from running_cluster import RunningCluster

from dsql.control.layout import Layout
from dsql.rpc.client import ask_status

WRITERS = 4
ZONES = ["us-east-1a", "us-east-1b", "us-east-1c"]
STALL_SECONDS_MAX = (
    5.0  # generous: what a takeover takes is measured elsewhere; this is "does not hang"
)


class Load:
    """Writers that each insert their own rows, one commit after the other. `errors`: what they met."""

    def __init__(self, cluster: RunningCluster) -> None:
        self.errors: list[str] = []
        self.acknowledged: list[int] = []
        self.longest = 0.0
        self._cluster = cluster
        self._stopping = False
        self._threads = [threading.Thread(target=self._write, args=(n,)) for n in range(WRITERS)]
        for thread in self._threads:
            thread.start()

    def _write(self, writer: int) -> None:
        with psycopg.connect(**self._cluster.dsn(), autocommit=True) as connection:
            number = writer
            while not self._stopping and not self.errors:
                number += WRITERS
                began = time.monotonic()
                try:
                    connection.execute("insert into kept values (%s)", [number])
                except psycopg.Error as error:
                    self.errors.append(f"{error.sqlstate} {error}")
                    return
                self.longest = max(self.longest, time.monotonic() - began)
                self.acknowledged.append(number)
                (seen,) = connection.execute(
                    "select count(*) from kept where id = %s", [number]
                ).fetchone() or (0,)
                if not seen:
                    self.errors.append(f"{number} was acknowledged and is not seen")

    def goes_on(self, commits: int = 200, seconds: float = 30.0) -> None:
        """Return when so many more commits have been acknowledged."""
        goal = len(self.acknowledged) + commits
        eventually(lambda: len(self.acknowledged) >= goal or bool(self.errors), seconds)
        assert not self.errors, self.errors

    def stop(self) -> None:
        self._stopping = True
        for thread in self._threads:
            thread.join(30)


def eventually(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def leader(cluster: RunningCluster) -> str:
    """Return the zone that says that it leads, "" if none does."""
    layout = Layout(cluster.directory / "data")
    for az in ZONES:
        try:
            values = ask_status(layout.socket(f"{az}.adjudicator"), 0.5).values
        except OSError:
            continue
        if any(name.endswith(".leader") and told == az for name, told in values.items()):
            return az
    return ""


@contextmanager
def loaded(cluster: RunningCluster) -> Iterator[Load]:
    """Writers, at work; at the end everything that was acknowledged has to be there."""
    with psycopg.connect(**cluster.dsn(), autocommit=True) as connection:
        connection.execute("create table kept (id int primary key)")
    load = Load(cluster)
    try:
        load.goes_on()
        yield load
    finally:
        load.stop()
    assert not load.errors
    assert load.longest < STALL_SECONDS_MAX
    with psycopg.connect(**cluster.dsn(), autocommit=True) as connection:
        found = {row[0] for row in connection.execute("select id from kept")}
    assert set(load.acknowledged) <= found


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_leader_that_dies_or_stops_is_replaced_and_no_client_meets_an_error(
    own_cluster: RunningCluster, number: signal.Signals
) -> None:
    with loaded(own_cluster) as load:
        for _ in range(2):
            old = leader(own_cluster)
            process_id = own_cluster.role(f"{old}.az")
            os.kill(process_id, number)
            load.goes_on()
            own_cluster.wait_for_restart(f"{old}.az", process_id, 30)
            assert leader(own_cluster) not in ("", old)
            eventually(lambda old=old: _is_up(own_cluster, old))  # type: ignore[misc]


def test_leader_that_hangs_is_replaced_and_harms_nothing_when_it_wakes(
    own_cluster: RunningCluster,
) -> None:
    with loaded(own_cluster) as load:
        old = leader(own_cluster)
        process_id = own_cluster.role(f"{old}.az")
        os.kill(process_id, signal.SIGSTOP)
        try:
            load.goes_on(seconds=STALL_SECONDS_MAX)
            assert leader(own_cluster) not in ("", old)
        finally:
            os.kill(process_id, signal.SIGCONT)
        load.goes_on()
        assert leader(own_cluster) not in ("", old)
        assert own_cluster.role(f"{old}.az") == process_id


def test_quiet_cluster_whose_leader_dies_can_be_read_without_a_commit(
    own_cluster: RunningCluster,
) -> None:
    with psycopg.connect(**own_cluster.dsn(), autocommit=True) as connection:
        connection.execute("create table t (id int primary key, v int)")
        connection.execute("insert into t values (1, 0)")
        for number in range(1, 4):
            process_id = own_cluster.role(f"{leader(own_cluster)}.az")
            connection.execute("update t set v = %s", [number])
            os.kill(process_id, signal.SIGKILL)
            assert connection.execute("select v from t").fetchone() == (number,)
            eventually(lambda: all(_is_up(own_cluster, az) for az in ZONES))
            eventually(lambda: bool(leader(own_cluster)))


def test_without_two_zones_commits_are_refused_reads_go_on_and_all_resumes_by_itself(
    own_cluster: RunningCluster,
) -> None:
    with psycopg.connect(**own_cluster.dsn(), autocommit=True) as connection:
        connection.execute("create table t (id int primary key)")
        connection.execute("insert into t values (1)")
        lost = [az for az in ZONES if az != leader(own_cluster)]
        stopped = [own_cluster.role(f"{az}.az") for az in lost]
        for process_id in stopped:
            os.kill(process_id, signal.SIGSTOP)
        try:
            with pytest.raises(psycopg.OperationalError) as unknown:  # the leader's journal has it
                connection.execute("insert into t values (2)")
            assert unknown.value.sqlstate == "08007"
            assert _is_refused(connection)
            assert connection.execute("select id from t where id = 1").fetchall() == [(1,)]
        finally:
            _continue(stopped)
        eventually(lambda: not _is_refused(connection))
        assert connection.execute("select id from t where id < 9").fetchall() == [(1,), (2,)]


def _continue(process_ids: list[int]) -> None:
    for process_id in process_ids:
        with suppress(ProcessLookupError):  # the supervisor may have given it up
            os.kill(process_id, signal.SIGCONT)


def _is_refused(connection: psycopg.Connection[tuple[int]]) -> bool:
    """Try a commit; return whether it was refused at once with 57P03."""
    with psycopg.connect(connection.info.dsn, password=connection.info.password) as other:
        other.execute("delete from t where id = 9")
        other.execute("insert into t values (9)")
        try:
            other.commit()
        except psycopg.OperationalError as error:
            return error.sqlstate == "57P03"
    return False


def _is_up(cluster: RunningCluster, az: str) -> bool:
    try:
        ask_status(Layout(cluster.directory / "data").socket(f"{az}.adjudicator"), 0.5)
    except OSError:
        return False
    return True


def test_session_whose_nearest_replica_stands_still_is_served_by_another(
    own_cluster: RunningCluster,
) -> None:
    with psycopg.connect(**own_cluster.dsn(), autocommit=True) as connection:
        connection.execute("create table t (id int primary key, v int)")
        connection.execute("insert into t values (1, 0)")
        for number, az in enumerate(ZONES, start=1):  # one of them is the nearest
            process_id = own_cluster.role(f"{az}.az")
            os.kill(process_id, signal.SIGSTOP)
            began = time.monotonic()
            try:
                connection.execute("update t set v = %s", [number])
                assert connection.execute("select v from t").fetchone() == (number,), az
            finally:
                _continue([process_id])
            assert time.monotonic() - began < STALL_SECONDS_MAX, az
            eventually(lambda az=az: _is_up(own_cluster, az))  # type: ignore[misc]


def test_role_that_a_signal_has_stopped_is_replaced_like_one_that_died(tmp_path: Path) -> None:
    cluster = RunningCluster(tmp_path, options=("--hang-seconds", "1")).start()
    try:
        for role in ("relay-1", "host", "seed", "keeper", "us-east-1b.az"):
            process_id = cluster.role(role)
            os.kill(process_id, signal.SIGSTOP)
            cluster.wait_for_restart(role, process_id, 30)
        eventually(lambda: _answers(cluster))
    finally:
        cluster.stop()


def _answers(cluster: RunningCluster) -> bool:
    try:
        with psycopg.connect(**cluster.dsn(), connect_timeout=5) as connection:
            return connection.execute("select 1").fetchone() == (1,)
    except psycopg.OperationalError:
        return False
