"""Whatever a statement is at, a cancel, its timeout and a vanished client end it soon.

Bounds are generous, because a busy machine is slow; what matters is that no statement here ends by itself.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import time
from collections.abc import Iterator
from typing import Any

import pytest
from running_cluster import RunningCluster

from dsql.control.layout import Layout
from dsql.wire import client
from placement.client import AgentClient

SECONDS_MAX = 5.0
UNDER_WAY_SECONDS = 0.2

_ENDLESS = "generate_series(1, 100000) a, generate_series(1, 100000) b"
_DOUBLED = ", ".join(
    f"c{n} AS (SELECT a.x FROM c{n - 1} a, c{n - 1} b)" if n else "c0 AS (SELECT 1 AS x)"
    for n in range(30)
)
_COLUMNS = [f"x % {n} AS c{n}" for n in range(2, 14)]
PHASES = {
    "run": f"SELECT count(*) FROM {_ENDLESS}",
    "sleep": "SELECT pg_sleep(60)",
    "sort": f"SELECT a FROM {_ENDLESS} ORDER BY a * b LIMIT 1",
    "write": f"INSERT INTO sink SELECT a * 100000 + b FROM {_ENDLESS}",
    "explain": f"EXPLAIN ANALYZE SELECT 1 FROM {_ENDLESS}",
    "parse": f"SELECT {', '.join(f'f{n}(a.b{n}, 1 + {n})' for n in range(250_000))}",
    "fold": "SELECT " + " + ".join(["length(repeat('x', 1000000))"] * 3000),
    "bind": f"SELECT 1 WHERE 1 IN ({', '.join(map(str, range(100_000)))})",
    "values": f"SELECT count(*) FROM (VALUES {', '.join(f'({n})' for n in range(100_000))}) v",
    "compile": f"SELECT count(*) FROM big WHERE {' OR '.join(f'a = {n} + id' for n in range(60_000))}",
    "call": "SELECT length(initcap(repeat('ab ', 22000000))) FROM big",
    "large value": "SELECT length(replace(repeat('xy', 30000000), 'yx', 'z')) FROM big",
    "grouping sets": f"SELECT count(*) FROM (SELECT {', '.join(_COLUMNS)} FROM"
    f" generate_series(1, 100000) x) t GROUP BY CUBE ({', '.join(f'c{n}' for n in range(2, 14))})",
    "plan": f"WITH {_DOUBLED} SELECT count(*) FROM c29",
    "script": "SELECT pg_sleep(0.0002);" * 100_000,
    "copy out": f"COPY (SELECT a, b FROM {_ENDLESS}) TO STDOUT",
    "copy in": "COPY sink FROM STDIN",
    "rows nobody reads": f"SELECT a, b FROM {_ENDLESS}",
    "index": "CREATE INDEX ON big (a)",
    "unique index": "CREATE UNIQUE INDEX ON big (a)",
    "script of DDL": "".join(f"CREATE TABLE n{n} (a int);" for n in range(2_000)),
}
TIMED = ("run", "sleep", "parse", "fold", "copy out", "copy in", "index")


class Peer:
    """A client with TLS, byte by byte."""

    def __init__(self, cluster: RunningCluster, *, tls12: bool = False) -> None:
        self._cluster = cluster
        variables = cluster.variables
        self._address = (variables["PGHOSTADDR"], int(variables["PGPORT"]))
        plain = socket.create_connection(self._address)
        plain.sendall(client.ssl_request())
        assert plain.recv(1) == b"S"
        context = ssl.create_default_context(cafile=variables["PGSSLROOTCERT"])
        if tls12:
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        self.socket = context.wrap_socket(plain, server_hostname=variables["PGHOST"])
        self.socket.settimeout(60)
        self._rest = b""
        self.send(client.startup({"user": "admin", "database": "postgres"}))
        self.send(client.password(cluster.token()))
        ((_, body),) = [one for one in self.until_ready() if one[0] == "K"]
        self._key = struct.unpack("!II", body)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def until_ready(self) -> list[tuple[str, bytes]]:
        return self.read("Z")

    def read(self, last: str) -> list[tuple[str, bytes]]:
        """Return the answers up to the first that ends what was received and has this letter."""
        found: list[tuple[str, bytes]] = []
        while not found or found[-1][0] != last:
            data = self.socket.recv(1 << 20)
            assert data, f"the session has ended after {found[-3:]}: {self._cluster.log()}"
            answers, self._rest = client.split_answers(self._rest + data)
            found += [(kind, b"" if kind in "Dd" else body) for kind, body in answers]
        return found

    def errors(self) -> list[tuple[str, str]]:
        """Return the errors up to ReadyForQuery."""
        fields = [client.error_fields(body) for kind, body in self.until_ready() if kind == "E"]
        return [(one["C"], one["M"]) for one in fields]

    def query(self, text: str) -> list[tuple[str, str]]:
        self.send(client.query(text))
        return self.errors()

    def cancel(self) -> None:
        with socket.create_connection(self._address) as other:
            other.sendall(client.cancel_request(*self._key))
            other.recv(1)

    def vanish(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    running = RunningCluster(tmp_path_factory.mktemp("interrupts"), profile="postgres").start()
    try:
        fill(Peer(running))
        yield running
    finally:
        running.stop()


def fill(peer: Peer) -> None:
    assert peer.query("CREATE TABLE sink (a bigint PRIMARY KEY)") == []
    assert peer.query("CREATE TABLE big (id int PRIMARY KEY, a int)") == []
    for start in range(0, 60_000, 20_000):
        values = f"SELECT g, g FROM generate_series({start}, {start + 19_999}) g"
        assert peer.query(f"INSERT INTO big {values}") == []
    peer.vanish()


@pytest.fixture
def peer(cluster: RunningCluster) -> Iterator[Peer]:
    made = Peer(cluster)
    yield made
    made.socket.close()


def start(peer: Peer, phase: str) -> None:
    """Send the statement, and give it time to be in the middle of it."""
    peer.send(client.query(PHASES[phase]))
    time.sleep(UNDER_WAY_SECONDS)


def busy(cluster: RunningCluster) -> int:
    """Return how many sessions and runs of background jobs there are."""

    async def ask() -> dict[str, object]:
        agent = AgentClient(str(Layout(cluster.directory / "data").socket("agent")))
        try:
            return await agent.status()
        finally:
            await agent.close()

    status: dict[str, Any] = asyncio.run(ask())
    return sum(value for name, value in status.items() if name.endswith(".sessions"))


@pytest.mark.parametrize("phase", PHASES)
def test_a_cancel_ends_a_statement(peer: Peer, phase: str) -> None:
    start(peer, phase)
    began = time.monotonic()
    peer.cancel()
    errors = peer.errors()
    assert time.monotonic() - began < SECONDS_MAX
    cancelled = [("57014", "canceling statement due to user request")]
    assert errors in ([], cancelled)
    if not errors:  # the statement was faster, and the cancel is on its way to the next one
        assert peer.query("SELECT 1") in ([], cancelled)
    assert peer.query("SELECT 1") == []


@pytest.mark.parametrize("phase", TIMED)
def test_statement_timeout_ends_a_statement(peer: Peer, phase: str) -> None:
    assert peer.query("SET statement_timeout = '200ms'") == []
    began = time.monotonic()
    peer.send(client.query(PHASES[phase]))
    errors = peer.errors()
    assert time.monotonic() - began < SECONDS_MAX
    assert errors in ([], [("57014", "canceling statement due to statement timeout")])
    assert peer.query("SELECT 1") == []


@pytest.mark.parametrize("phase", PHASES)
def test_a_statement_ends_when_its_client_vanishes(cluster: RunningCluster, phase: str) -> None:
    peer = Peer(cluster)
    start(peer, phase)
    assert_ends_without(peer, cluster)


@pytest.mark.parametrize("phase", ["run", "sleep", "copy in", "rows nobody reads"])
def test_so_they_end_a_statement_behind_a_decrypting_copy(
    cluster: RunningCluster, phase: str
) -> None:
    peer = Peer(cluster, tls12=True)
    start(peer, phase)
    peer.cancel()
    assert peer.errors() == [("57014", "canceling statement due to user request")]
    start(peer, phase)
    assert_ends_without(peer, cluster)


def assert_ends_without(peer: Peer, cluster: RunningCluster) -> None:
    assert busy(cluster)
    peer.vanish()
    began = time.monotonic()
    while busy(cluster):
        assert time.monotonic() - began < SECONDS_MAX
        time.sleep(0.01)


def test_a_client_that_is_gone_for_good_loses_its_open_transaction(peer: Peer) -> None:
    assert peer.query("SET idle_in_transaction_session_timeout = '100ms'") == []
    assert peer.query("BEGIN") == []
    fields = client.error_fields(peer.read("E")[-1][1])
    assert (fields["S"], fields["C"], fields["M"]) == (
        "FATAL",
        "25P03",
        "terminating connection due to idle-in-transaction timeout",
    )
