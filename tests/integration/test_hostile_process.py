"""A compromised query processor does its worst while its cluster and another one are under load.

`hostile/sitecustomize.py` says what its worst is. DSQL_HOSTILE_SECONDS sets for how long hostile processes
come one after the other (10 by default), DSQL_HOSTILE_SEED with which random numbers the first one begins.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import runpy
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import boto3
import psycopg
import pytest
from running_cluster import RunningCluster

from dsql.control.authority import Authority
from dsql.control.clusters import create_cluster
from dsql.control.layout import Layout
from dsql.control.running import read_processes

HOSTILE_SECONDS = float(os.environ.get("DSQL_HOSTILE_SECONDS", "10"))
ATTACK_SECONDS = 30.0  # generous: an attack usually ends with its process, within two
WRITERS = 3
ZONES = ["us-east-1a", "us-east-1b", "us-east-1c"]
STOP_SECONDS = 20.0


@pytest.fixture
def options() -> tuple[str, ...]:
    """What `dsql up` is told beside the usual."""
    return ()


@pytest.fixture
def infested(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> Iterator[RunningCluster]:
    """A cluster whose query processors turn hostile when a session asks for it."""
    here = Path(__file__).parent
    monkeypatch.setenv("PYTHONPATH", f"{here / 'hostile'}:{here.parents[1]}")
    running = RunningCluster(tmp_path, options=options).start()
    yield running
    running.stop()


class Load:
    """Sessions of one cluster that write and read what they have written. Any error is remembered.

    `shares`: their query processors turn hostile. Whoever loses its connection then connects again.
    """

    def __init__(self, parameters: dict[str, str], *, shares: bool) -> None:
        self._shares = shares
        self.acknowledged: list[list[int]] = [[] for _ in range(WRITERS)]
        self.errors: list[str] = []
        self._parameters = parameters
        self._stop = threading.Event()
        with self.connect() as connection:
            connection.execute("CREATE TABLE kept (id int PRIMARY KEY)")
        self._threads = [
            threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(WRITERS)
        ]
        for thread in self._threads:
            thread.start()

    def connect(self, **options: str) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(**self._parameters, **options, autocommit=True)

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(STOP_SECONDS)
            if thread.is_alive() and not self._shares:  # a hostile process need not answer its own
                self.errors.append("a client waits for ever")

    def missing(self) -> set[int]:
        """Return what was acknowledged and is not there."""
        with self.connect() as connection:
            found = {row[0] for row in connection.execute("SELECT id FROM kept").fetchall()}
        return {number for mine in self.acknowledged for number in mine} - found

    def _run(self, writer: int) -> None:
        numbers = itertools.count(writer, WRITERS)
        while not self._stop.is_set():
            try:
                self._write(numbers, self.acknowledged[writer])
            except (psycopg.Error, AssertionError) as error:
                if not (self._shares and isinstance(error, psycopg.OperationalError)):
                    self.errors.append(f"{type(error).__name__}: {error}")
                    return

    def _write(self, numbers: Iterator[int], acknowledged: list[int]) -> None:
        with self.connect() as connection:
            while not self._stop.is_set():
                number = next(numbers)
                connection.execute("INSERT INTO kept VALUES (%s)", (number,))
                acknowledged.append(number)
                read = "SELECT id FROM kept WHERE id = %s"
                assert connection.execute(read, (number,)).fetchone() == (number,)


def second_cluster(running: RunningCluster) -> dict[str, str]:
    """Make another cluster in the same installation; return psycopg's parameters for it."""
    layout = Layout(running.directory / "data")
    record = create_cluster(layout, Authority.open(layout), azs=ZONES)
    client = boto3.client(
        "dsql",
        region_name=running.variables["AWS_REGION"],
        aws_access_key_id=running.variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=running.variables["AWS_SECRET_ACCESS_KEY"],
    )
    token = client.generate_db_connect_admin_auth_token(record.endpoint, ExpiresIn=3600)
    return running.dsn(password=str(token)) | {"host": record.endpoint}


def attack(load: Load, seed: int) -> None:
    """Have a query processor of the cluster turn hostile, and wait for its end."""
    began = time.monotonic()
    options = {"application_name": f"hostile {seed}", "connect_timeout": str(int(ATTACK_SECONDS))}
    with contextlib.suppress(psycopg.OperationalError):
        load.connect(**options).close()
    sys.stdout.write(f"hostile {seed}: {time.monotonic() - began:.1f} s\n")


def harm(running: RunningCluster, seconds: float) -> list[str]:
    """Have hostile processes come one after the other for so long; return what they did to others."""
    layout = Layout(running.directory / "data")
    seed = int(os.environ.get("DSQL_HOSTILE_SEED", random.randrange(1_000_000)))
    own = Load(running.dsn(password=running.token(seconds=3600)), shares=True)
    other = Load(second_cluster(running), shares=False)
    before = read_processes(layout)
    end = time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            attack(own, seed)
            seed += 1
    finally:
        for load in (own, other):
            load.stop()
    found = own.errors + other.errors
    if found:
        return found  # what is missing cannot be asked for, perhaps
    for load in (own, other):
        found += [f"{number} is missing" for number in load.missing()]
        if sum(map(len, load.acknowledged)) <= 5 * WRITERS * seconds:
            found.append("few commits")
    if read_processes(layout) != before:
        found.append("a server was started again")
    forged = [line for line in layout.log("seed").read_bytes().splitlines() if b"forged" in line]
    assert forged, "nobody was hostile"
    if not all(line.startswith(b"[") for line in forged):
        found.append("a line that looks like the seed's")
    return found


def test_a_hostile_query_processor_harms_no_one_but_itself(infested: RunningCluster) -> None:
    found = harm(infested, HOSTILE_SECONDS)
    assert not found, (found, infested.log())


def test_the_same_stops_a_zone_if_done_by_who_may_write_there(infested: RunningCluster) -> None:
    """The attack is a real one: servers have mapped these files, and no longer find what they mapped."""
    layout = Layout(infested.directory / "data")
    before, deadline = read_processes(layout), time.monotonic() + ATTACK_SECONDS
    hostile = runpy.run_path(str(Path(__file__).parent / "hostile" / "sitecustomize.py"))
    assignment = SimpleNamespace(azs=ZONES, cluster=infested.variables["DSQL_CLUSTER"])
    tenant = SimpleNamespace(_layout=layout, _assignment=assignment)
    hostile["_paths"](random.Random(0), tenant, 0)
    while read_processes(layout) == before:
        assert time.monotonic() < deadline, "nobody has felt it"
        time.sleep(0.05)
