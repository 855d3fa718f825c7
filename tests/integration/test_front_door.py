"""What strangers do before they are let in, and what many clients do at once."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
import subprocess
from contextlib import ExitStack, suppress

import pytest
from running_cluster import DSQL, RunningCluster

from dsql.wire import client
from relay.audit import PER_SOURCE_BURST, PER_SOURCE_RATE

SILENT = 400
OPTIONS = ("--relays", "2", "--open-logins", "200", "--open-logins-per-address", "100")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    cluster = RunningCluster(tmp_path_factory.mktemp("door"), options=OPTIONS).start()
    yield cluster
    cluster.stop()


class Session:
    """A client that speaks raw messages, and sees how its connection ends."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._rest = b""

    @classmethod
    async def open(cls, cluster: RunningCluster, token: str, *, tls12: bool = False) -> Session:
        """Log in and wait for ReadyForQuery. Refused ones have the answer E."""
        context = ssl.create_default_context(cafile=cluster.variables["PGSSLROOTCERT"])
        context.set_alpn_protocols(["postgresql"])
        if tls12:
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        session = cls(
            *await asyncio.open_connection(
                "127.0.0.1", cluster.port, ssl=context, server_hostname=cluster.variables["PGHOST"]
            )
        )
        session.send(client.startup({"user": "admin", "database": "postgres"}))
        session.send(client.password(token))
        assert (await session.until("Z"))[-1][0] == "Z"
        return session

    def send(self, message: bytes) -> None:
        self._writer.write(message)

    async def query(self, text: str) -> list[bytes | None]:
        """Return the first row of a query's answer."""
        self.send(client.query(text))
        answers = await self.until("Z")
        return next((client.row_values(body) for kind, body in answers if kind == "D"), [])

    async def until(self, last: str = "") -> list[tuple[str, bytes]]:
        """Return the answers up to one of this kind, or to the end of the stream."""
        answers: list[tuple[str, bytes]] = []
        while last not in [kind for kind, _ in answers]:
            data = await self._reader.read(65_536)
            if not data:
                return answers
            more, self._rest = client.split_answers(self._rest + data)
            answers += more
        return answers

    async def close(self) -> None:
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()


async def test_silent_connections_and_unknown_cancellations_keep_nobody_out(cluster) -> None:
    token = cluster.token()
    cancel = client.cancel_request(7, 9)
    with ExitStack() as stack:
        for _ in range(SILENT):
            silent = socket.create_connection(("127.0.0.1", cluster.port), 10)
            stack.enter_context(silent)
        for _ in range(SILENT):
            with socket.create_connection(("127.0.0.1", cluster.port), 10) as stranger:
                stranger.sendall(cancel)
        session = await Session.open(cluster, token)
        assert await session.query("select 1") == [b"1"]
        await session.close()
    for log in (cluster.directory / "data" / "logs").glob("relay-*.log"):
        assert log.read_text().count("unknown key") <= PER_SOURCE_BURST + PER_SOURCE_RATE * 60


async def test_many_sessions_dialled_at_once_are_all_served(cluster) -> None:
    token, at_once = cluster.token(), asyncio.Semaphore(24)

    async def dial() -> Session:
        async with at_once:
            session = await Session.open(cluster, token)
            assert await session.query("select 1") == [b"1"]
            return session

    for session in await asyncio.gather(*(dial() for _ in range(500))):
        await session.close()


async def test_relays_leave_the_processors_to_the_sessions(cluster) -> None:
    ours = os.getpriority(os.PRIO_PROCESS, 0)
    assert os.getpriority(os.PRIO_PROCESS, cluster.role("relay-1")) > ours
    assert os.getpriority(os.PRIO_PROCESS, cluster.role("seed")) == ours


async def reconnect(cluster: RunningCluster, token: str) -> Session:
    """Open a session as clients do whose connection was reset: at once again."""
    while True:
        with suppress(OSError):
            return await Session.open(cluster, token)


async def test_the_death_of_a_relay_costs_no_session_and_the_others_serve_on(cluster) -> None:
    token = cluster.token()
    sessions = [await Session.open(cluster, token) for _ in range(8)]
    victim = cluster.role("relay-1")
    os.kill(victim, signal.SIGKILL)
    sessions += [await reconnect(cluster, token) for _ in range(8)]
    for session in sessions:
        assert await session.query("select 1") == [b"1"]
    cluster.wait_for_restart("relay-1", victim, 10)
    for session in sessions:
        assert await session.query("select 2") == [b"2"]
        await session.close()


async def test_a_relay_drains_when_it_is_asked_to(cluster) -> None:
    token, before = cluster.token(), cluster.role("relay-2")
    sessions = [await Session.open(cluster, token) for _ in range(4)]
    words = ("relay", "drain", "--name", "relay-2", "--data", cluster.directory / "data")
    await asyncio.to_thread(subprocess.run, [DSQL, *words], check=True, timeout=30)
    cluster.wait_for_restart("relay-2", before, 10)
    for session in sessions:
        assert await session.query("select 1") == [b"1"]
        await session.close()


async def test_everybody_is_told_that_the_server_stops(tmp_path) -> None:
    cluster = RunningCluster(tmp_path).start()
    try:
        token = cluster.token()
        idle, copied, in_block, busy = [
            await Session.open(cluster, token, tls12=tls12) for tls12 in (False, True, False, False)
        ]
        await in_block.query("begin")
        busy.send(
            client.query(
                "select count(*) from generate_series(1, 100000), generate_series(1, 100000)"
            )
        )
        await asyncio.to_thread(cluster.stop)
        for session in (idle, copied, in_block, busy):
            kind, body = (await session.until())[-1]
            fields = client.error_fields(body)
            assert (kind, fields["S"], fields["C"]) == ("E", "FATAL", "57P01")
            assert fields["M"] == "terminating connection due to administrator command"
            await session.close()
    finally:
        cluster.stop()
