"""What strangers do before they are let in, and what many clients do at once."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

import pytest
from running_cluster import RunningCluster

from dsql.wire import client
from relay.audit import PER_SOURCE_BURST, PER_SOURCE_RATE

SILENT = 400
OPTIONS = ("--open-logins", "200", "--open-logins-per-address", "100")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    cluster = RunningCluster(tmp_path_factory.mktemp("door"), options=OPTIONS).start()
    yield cluster
    cluster.stop()


@asynccontextmanager
async def session(cluster: RunningCluster, token: str) -> AsyncIterator[str]:
    """Log in and yield the answer to `select 1`, or the SQLSTATE of the refusal."""
    context = ssl.create_default_context(cafile=cluster.variables["PGSSLROOTCERT"])
    context.set_alpn_protocols(["postgresql"])
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", cluster.port, ssl=context, server_hostname=cluster.variables["PGHOST"]
    )
    writer.write(client.startup({"user": "admin", "database": "postgres"}))
    rest, result = b"", ""
    while not result:
        data = await reader.read(65_536)
        assert data, "the stream was cut"
        answers, rest = client.split_answers(rest + data)
        for kind, body in answers:
            match kind:
                case "R" if body == b"\0\0\0\3":
                    writer.write(client.password(token) + client.query("select 1"))
                case "E":
                    result = client.error_fields(body)["C"]
                case "D":
                    result = client.row_values(body)[0].decode()
    yield result
    writer.close()
    await writer.wait_closed()


async def test_silent_connections_and_unknown_cancellations_keep_nobody_out(cluster) -> None:
    token = cluster.token()
    cancel = struct.pack("!IIII", 16, 80877102, 7, 9)
    with ExitStack() as stack:
        for _ in range(SILENT):
            silent = socket.create_connection(("127.0.0.1", cluster.port), 10)
            stack.enter_context(silent)
        for _ in range(SILENT):
            with socket.create_connection(("127.0.0.1", cluster.port), 10) as stranger:
                stranger.sendall(cancel)
        async with session(cluster, token) as answer:
            assert answer == "1"
    audited = (cluster.directory / "data" / "logs" / "relay.log").read_text()
    assert audited.count("unknown key") <= PER_SOURCE_BURST + PER_SOURCE_RATE * 60


async def test_many_sessions_dialled_at_once_are_all_served(cluster) -> None:
    token, at_once = cluster.token(), asyncio.Semaphore(24)
    wanted, answers, everybody = 60, [], asyncio.Event()

    async def dial() -> None:
        async with at_once:
            talk = session(cluster, token)
            answers.append(await talk.__aenter__())
        if len(answers) == wanted:
            everybody.set()
        await everybody.wait()
        await talk.__aexit__(None, None, None)

    await asyncio.gather(*(dial() for _ in range(wanted)))
    assert answers == ["1"] * wanted
