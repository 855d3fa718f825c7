"""A relay on one host, agent and zones on another: what is between them is a network, and nothing else."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from running_cluster import DSQL, RunningCluster, cancel_an_endless_query, free_port

from .two_hosts import TwoHosts, copy_for_relay, two_hosts


class RelayHost:
    """The relay, which can be killed and started again."""

    def __init__(
        self, cluster: RunningCluster, hosts: TwoHosts, link: str, directory: Path
    ) -> None:
        self._cluster = cluster
        self._hosts = hosts
        self._link = link
        self._directory = directory
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        ready, child_end = os.pipe()
        command = [*self._hosts.prefix, DSQL, "relay", "--data", self._directory]
        command += ["--az", "us-east-1a", "--listen", f"{self._hosts.there}:{self._port}"]
        command += ["--placement", self._link, "--ready-descriptor", str(child_end)]
        with (self._directory / "relay.log").open("ab") as log:
            self._process = subprocess.Popen(command, pass_fds=(child_end,), stderr=log)
        os.close(child_end)
        assert os.read(ready, 16), (self._directory / "relay.log").read_text()
        os.close(ready)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()  # `ip netns exec` has become the relay
        self._process.wait()

    def connect(self, **options: str) -> psycopg.Connection:
        where = {"hostaddr": self._hosts.there, "port": str(self._port)}
        return psycopg.connect(**self._cluster.dsn() | where | options, autocommit=True)


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningCluster, RelayHost]]:
    directory = tmp_path_factory.mktemp("hosts")
    with two_hosts() as hosts:
        link = f"{hosts.here}:{free_port()}"
        cluster = RunningCluster(directory / "a", options=("--link", link)).start()
        copy_for_relay(directory / "a" / "data", directory / "b")
        relay = RelayHost(cluster, hosts, link, directory / "b")
        relay.start()
        yield cluster, relay
        relay.kill()
        cluster.stop()


def test_a_session_through_another_host_is_like_any(serving) -> None:
    _, relay = serving
    with relay.connect() as client:
        client.execute("create table far (id int primary key, text text)")
        with client.cursor() as cursor:
            with cursor.copy("copy far from stdin") as copy:
                for number in range(2_000):
                    copy.write_row((number, "x" * 500))
            with cursor.copy("copy far to stdout") as copy:
                assert sum(1 for _ in copy.rows()) == 2_000
        assert client.execute("select count(*) from far").fetchone() == (2_000,)


def test_a_tls_1_2_client_is_served_through_another_host(serving) -> None:
    _, relay = serving
    with relay.connect(ssl_max_protocol_version="TLSv1.2") as client:
        long = client.execute("select repeat('x', 1000000)").fetchone()
        assert long == ("x" * 1_000_000,)


def test_a_cancel_finds_its_session_on_another_host(serving) -> None:
    _, relay = serving
    with relay.connect() as client:
        cancel_an_endless_query(client)


def test_the_death_of_the_relay_ends_its_sessions_and_no_more(serving) -> None:
    cluster, relay = serving
    with psycopg.connect(**cluster.dsn(), autocommit=True) as near, relay.connect() as far:
        relay.kill()
        with pytest.raises(psycopg.OperationalError):
            far.execute("select 1")
        assert near.execute("select 1").fetchone() == (1,)
        wait_until(lambda: connections(cluster) == 1)
    relay.start()
    with relay.connect() as client:
        assert client.execute("select 1").fetchone() == (1,)


def test_sessions_outlive_the_agent_of_another_host(serving) -> None:
    cluster, relay = serving
    with relay.connect() as client, client.transaction():
        client.execute("select 1")
        before = cluster.role("host")
        os.kill(before, 9)
        cluster.wait_for_restart("host", before, 30)
        assert client.execute("select 2").fetchone() == (2,)
        wait_until(lambda: connections(cluster) == 1)  # the next agent is there
        with relay.connect() as other:
            assert other.execute("select 3").fetchone() == (3,)


def connections(cluster: RunningCluster) -> int | None:
    """Return how many clients the agent knows of, None while it does not answer."""
    host = cluster.host()
    return int(host["sessions"]) + int(host["parked"]) if "parked" in host else None


def wait_until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
