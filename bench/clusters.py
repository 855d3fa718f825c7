"""Many clusters on one host: what each costs to make, to keep, to wake and to delete.

    python bench/clusters.py                    1,000 clusters
    python bench/clusters.py --clusters 100     fewer

Clusters are made and deleted through the AWS API, one after the other, and looked at every 2 ms. Memory is
the proportional one (PSS) of all processes of the server, disk what the data directory's blocks take; both
per cluster, and when all are at rest. `wake` is from a client's first byte to the answer of its first
`SELECT 1`, of clusters that are at rest, `write` the same with a CREATE TABLE.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from statistics import quantiles
from typing import Any

import boto3
import psycopg
import server
import workloads

from dsql.client.endpoint import Endpoint

SAMPLE = 20  # clusters that are woken
_POLL_SECONDS = 0.002
_REST_SECONDS_MAX = 180.0


class Host:
    """A server of this host, started and stopped as often as wanted on the same data."""

    def __init__(self, directory: Path, clusters: int) -> None:
        self._directory = directory
        self._clusters = clusters
        self._port, self._api = workloads.free_port(), workloads.free_port()
        self._process: subprocess.Popen[bytes]
        self.variables: dict[str, str] = {}

    def start(self) -> float:
        """Start it; return how many seconds that has taken."""
        env_file = self._directory / "env"
        env_file.unlink(missing_ok=True)
        began = time.monotonic()
        self._process = subprocess.Popen(
            [
                *(str(Path(sys.executable).with_name("dsql")), "up", "--data", str(self.data)),
                *("--listen", f"127.0.0.1:{self._port}", "--api", f"127.0.0.1:{self._api}"),
                *("--clusters", str(self._clusters + 2), "--env-file", str(env_file)),
                *("--connection-rate", "0"),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        while not env_file.exists():
            if self._process.poll() is not None:
                raise RuntimeError("the server did not start")
            time.sleep(0.005)
        seconds = time.monotonic() - began
        self.variables = server.read_env(env_file)
        return seconds

    def stop(self) -> None:
        """End it."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(60)

    @property
    def data(self) -> Path:
        """Its data directory."""
        return self._directory / "data"

    def memory(self) -> int:
        """Return how many bytes its processes have, each page shared out among those that map it."""
        processes = [self._process.pid]
        for process in processes:  # which grows meanwhile
            with contextlib.suppress(OSError):
                tasks = Path(f"/proc/{process}/task").iterdir()
                children = [(task / "children").read_text().split() for task in tasks]
                processes += [int(child) for line in children for child in line]
        return sum(map(_pss, processes))

    def disk(self) -> int:
        """Return how many bytes its clusters take on the disk."""
        return sum(
            path.lstat().st_blocks * 512
            for path in self.data.rglob("*")
            if "logs" not in path.parts and path.exists()
        )


def _pss(process: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def milliseconds(work: Callable[[], object]) -> float:
    """Return how long something takes."""
    began = time.monotonic()
    work()
    return (time.monotonic() - began) * 1000


def told(name: str, values: list[float]) -> str:
    """Return a line about times in ms."""
    if len(values) < 2:
        return f"{name:<10} {values[0]:.0f} ms"
    hundredths = quantiles(values, n=100, method="inclusive")
    return (
        f"{name:<10} p50 {hundredths[49]:.0f}  p99 {hundredths[98]:.0f}  max {max(values):.0f} ms"
    )


class Clusters:
    """The clusters of a host, by way of its API."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        os.environ.update(variables)  # where boto3 and the client kit look
        self._client = boto3.client("dsql")

    def create(self) -> str:
        """Make one; return its identifier when it is ACTIVE."""
        identifier: str = self._client.create_cluster(deletionProtectionEnabled=False)["identifier"]
        while self._client.get_cluster(identifier=identifier)["status"] != "ACTIVE":
            time.sleep(_POLL_SECONDS)
        return identifier

    def delete(self, identifier: str) -> None:
        """Delete one, and wait until nothing is left of it."""
        self._client.delete_cluster(identifier=identifier)
        with contextlib.suppress(self._client.exceptions.ResourceNotFoundException):
            while self._client.get_cluster(identifier=identifier):
                time.sleep(_POLL_SECONDS)

    def connect(self, identifier: str) -> psycopg.Connection[Any]:
        """Return a connection to one."""
        first = self._variables["DSQL_CLUSTER"]
        host = self._variables["DSQL_ENDPOINT"].replace(first, identifier)
        endpoint = Endpoint.from_environment({**self._variables, "DSQL_ENDPOINT": host})
        return psycopg.connect(**endpoint.libpq_parameters(), autocommit=True)  # type: ignore[arg-type]

    def ask(self, identifier: str, statement: str = "select 1") -> None:
        """Connect to one, and have a statement answered."""
        with self.connect(identifier) as connection:
            connection.execute(statement.encode())


def await_rest(data: Path) -> None:
    """Return when no zone has a cluster awake."""
    deadline = time.monotonic() + _REST_SECONDS_MAX
    while any(any(folder.iterdir()) for folder in (data / "run").glob("*.awake")):
        if time.monotonic() > deadline:
            raise RuntimeError("some clusters stay awake")
        time.sleep(0.5)
    time.sleep(3)  # replicas are closed a moment later


def measure(host: Host, count: int) -> Iterator[str]:
    """Yield what is found out, line by line."""
    yield f"start      {host.start():.2f} s with 1 cluster"
    clusters = Clusters(host.variables)
    clusters.ask(host.variables["DSQL_CLUSTER"])
    yield told("first", [milliseconds(lambda: clusters.ask(clusters.create()))])
    await_rest(host.data)
    memory, disk = host.memory(), host.disk()
    made: list[str] = []
    yield told(
        "create", [milliseconds(lambda: made.append(clusters.create())) for _ in range(count)]
    )
    await_rest(host.data)
    yield f"memory     {(host.memory() - memory) / count / 1024:.1f} KiB a cluster at rest"
    yield f"disk       {(host.disk() - disk) / count / 1024:.0f} KiB a cluster at rest"
    sample = made[:: max(1, count // SAMPLE)]
    yield told("wake", [milliseconds(lambda one=one: clusters.ask(one)) for one in sample])  # type: ignore[misc]
    await_rest(host.data)
    table = "create table t (id int primary key)"
    yield told("write", [milliseconds(lambda one=one: clusters.ask(one, table)) for one in sample])  # type: ignore[misc]
    yield told("the last", [milliseconds(lambda: clusters.ask(made[-1]))])
    await_rest(host.data)
    host.stop()
    yield f"start      {host.start():.2f} s with {count + 2} clusters"
    yield told("delete", [milliseconds(lambda one=one: clusters.delete(one)) for one in made])  # type: ignore[misc]
    await_rest(host.data)
    yield f"left       {(host.disk() - disk) / count / 1024:.1f} KiB a deleted cluster"


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clusters", type=int, default=1_000, help="how many")
    count = parser.parse_args().clusters
    with tempfile.TemporaryDirectory(prefix="dsql-bench-") as temporary:
        os.chmod(temporary, 0o711)
        host = Host(Path(temporary), count)
        try:
            for line in measure(host, count):
                print(line, flush=True)
        finally:
            host.stop()


if __name__ == "__main__":
    main()
