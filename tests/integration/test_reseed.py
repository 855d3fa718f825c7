"""A new seed takes over: whatever clients do meanwhile, none of them notices."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable

import psycopg
from running_cluster import DSQL, RunningCluster, children_of, lives

WORKERS = 4


class Load:
    """Clients that read, and commit transactions of several statements, until told to stop."""

    def __init__(self, cluster: RunningCluster) -> None:
        self._dsn = cluster.dsn()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(WORKERS)]
        self.rounds = [0] * WORKERS
        self.failures: list[Exception] = []

    def _run(self, number: int) -> None:
        try:
            with psycopg.connect(**self._dsn, autocommit=True) as client:
                client.prepare_threshold = 1
                while not self._stop.is_set():
                    self._take_a_turn(client, number)
                    self.rounds[number] += 1
        except Exception as error:
            self.failures.append(error)

    @staticmethod
    def _take_a_turn(client: psycopg.Connection, number: int) -> None:
        with client.transaction():
            client.execute("update counters set value = value + 1 where id = %s", (number,))
            found = client.execute("select value from counters where id = %s", (number,)).fetchone()
        assert (
            client.execute("select value from counters where id = %s", (number,)).fetchone()
            == found
        )

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)


def test_a_new_seed_takes_all_sessions_over_and_no_statement_fails(
    own_cluster: RunningCluster,
) -> None:
    cluster = own_cluster
    with psycopg.connect(**cluster.dsn(), autocommit=True) as client:
        client.execute("create table counters (id int primary key, value int)")
        client.execute("insert into counters select n, 0 from generate_series(0, 4) n(n)")
        client.execute("set my.own to 'mine'")
        with client.transaction(), Load(cluster) as load:
            client.execute("update counters set value = 7 where id = 4")
            wait_until(lambda: min(load.rounds) > 2)
            seed = cluster.role("seed")
            old = children_of(seed)
            assert old
            subprocess.run(
                [DSQL, "agent", "reseed", "--data", cluster.directory / "data"],
                check=True,
                timeout=30,
            )
            cluster.wait_for_restart("seed", seed, 60)
            wait_until(lambda: not any(lives(process) for process in old))
            seen = list(load.rounds)
            wait_until(lambda: all(now > then for now, then in zip(load.rounds, seen, strict=True)))
        assert load.failures == []
        assert client.execute("show my.own").fetchone() == ("mine",)
        values = client.execute("select value from counters order by id").fetchall()
        assert [value for (value,) in values] == [*load.rounds, 7]


def wait_until(condition: Callable[[], bool], seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
