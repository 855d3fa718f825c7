"""No value of a sequence is ever handed out twice, whichever processes are killed meanwhile."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from running_cluster import RunningCluster

from .test_failover import leader
from .test_parking import query_processors

SESSIONS = 8
VALUES_PER_ROUND = 200


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[RunningCluster]:
    """A cluster that spreads a few sessions over two query processors."""
    cluster = RunningCluster(tmp_path, options=("--processes", "2")).start()
    yield cluster
    cluster.stop()


class Ledger:
    """What the sessions were given, by sequence."""

    def __init__(self) -> None:
        self.values: dict[str, list[int]] = {"one": [], "many": []}
        self.broken: list[str] = []  # what no client may ever see
        self.over = threading.Event()
        self.changed = threading.Condition()

    def note(self, sequence: str, values: list[int]) -> None:
        with self.changed:
            self.values[sequence] += values
            self.changed.notify_all()

    def wait_for(self, count: int) -> None:
        """Wait until either sequence has given so many values more."""
        with self.changed:
            goals = {name: len(values) + count for name, values in self.values.items()}
            assert self.changed.wait_for(
                lambda: all(len(self.values[name]) >= goal for name, goal in goals.items()), 60
            ), self.broken


def count_until_the_end(cluster: RunningCluster, ledger: Ledger) -> None:
    """Take values from both sequences, rolling every third transaction back, and connect again."""
    text = "select nextval('one'), nextval('many') from generate_series(1, 5)"
    while not ledger.over.is_set():
        try:
            with psycopg.connect(**cluster.dsn()) as session:
                before = 0
                while not ledger.over.is_set():
                    found = session.execute(text).fetchall()
                    session.rollback()
                    ones, many = ([int(row[side]) for row in found] for side in (0, 1))
                    if [before, *many] != sorted({before, *many}):
                        ledger.broken.append(f"{many} after {before}")
                    before = many[-1]
                    ledger.note("one", ones)
                    ledger.note("many", many)
        except psycopg.OperationalError as error:
            if error.sqlstate == "40001":
                ledger.broken.append(str(error))


def test_no_value_is_given_twice_whoever_is_killed(processes: RunningCluster) -> None:
    cluster, ledger = processes, Ledger()
    with psycopg.connect(**cluster.dsn(), autocommit=True) as session:
        session.execute("create sequence one cache 1")
        session.execute("create sequence many cache 65536")
    clients = [
        threading.Thread(target=count_until_the_end, args=(cluster, ledger))
        for _ in range(SESSIONS)
    ]
    for client in clients:
        client.start()
    try:
        ledger.wait_for(VALUES_PER_ROUND)
        os.kill(query_processors(cluster)[0], signal.SIGKILL)
        ledger.wait_for(VALUES_PER_ROUND)
        zone = f"{leader(cluster)}.az"
        before = cluster.role(zone)
        os.kill(before, signal.SIGKILL)
        cluster.wait_for_restart(zone, before, 30)
        ledger.wait_for(VALUES_PER_ROUND)
    finally:
        ledger.over.set()
        for client in clients:
            client.join(60)
    assert not ledger.broken, "values of a session ascend, and no conflict is told"
    for name, values in ledger.values.items():
        assert len(set(values)) == len(values), f"{name} has given a value twice"
