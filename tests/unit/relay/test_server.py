import asyncio
import socket
import struct

import pytest

from dsql.session.parameters import DEFINITIONS
from placement.client import DrainClient
from relay.front_door import Settings
from relay.server import RelayServer, serve


async def test_server_says_where_it_listens_and_when_it_is_ready(installation) -> None:
    layout, ready = installation.layout, asyncio.Event()
    layout.relay_address.unlink(missing_ok=True)
    task = asyncio.create_task(
        serve(
            layout,
            "127.0.0.1",
            0,
            settings=Settings(name="relay-2", drain_seconds=0.1),
            on_ready=ready.set,
        )
    )
    await asyncio.wait_for(ready.wait(), 5)
    host, _, port = layout.relay_address.read_text().strip().rpartition(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.close()
    await writer.wait_closed()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(host, int(port))


async def test_login_in_progress_outlives_the_listener(installation) -> None:
    def start():
        client = installation.client()
        client.startup()
        client.read()
        return client

    client = await asyncio.to_thread(start)
    closing = asyncio.create_task(installation.relay.close())
    await asyncio.sleep(0.1)
    assert not closing.done()

    def finish() -> bytes:
        client.password(installation.token())
        messages = client.until(b"Z")
        client.close()
        return messages[-1][0]

    assert await asyncio.to_thread(finish) == b"Z"
    await asyncio.wait_for(closing, 5)


async def test_taken_port_is_an_error_of_the_operating_system(installation) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError):
        await RelayServer.start(
            installation.layout, "127.0.0.1", taken.getsockname()[1], Settings(name="relay-2")
        )


@pytest.fixture
async def second(installation):
    """Another relay on the same port."""
    settings = Settings(name="relay-2", drain_seconds=2.0)
    relay = await RelayServer.start(installation.layout, "127.0.0.1", installation.port, settings)
    yield relay
    await relay.close()


def log_in(installation, **options) -> bytes:
    client = installation.client(**options)
    try:
        return client.log_in(installation.token())[-1][0]
    finally:
        client.close()


async def test_relays_share_a_port(installation, second) -> None:
    for _ in range(40):
        assert await asyncio.to_thread(log_in, installation) == b"Z"
    counts = [relay.door.metrics.accepted for relay in (installation.relay, second)]
    assert sum(counts) == 40
    assert all(counts)


async def test_a_relay_that_drains_resets_nobody_who_stands_before_its_door(installation) -> None:
    clients = [socket.create_connection(("127.0.0.1", installation.port)) for _ in range(20)]
    closing = asyncio.create_task(installation.relay.close())
    for client in clients:
        client.setblocking(False)
        await asyncio.get_running_loop().sock_sendall(client, struct.pack("!II", 8, 80877103))
        assert await asyncio.get_running_loop().sock_recv(client, 1) == b"S"
        client.close()
    await asyncio.wait_for(closing, 5)


async def test_a_drain_lets_sessions_go_on_that_still_need_the_relay(installation, second) -> None:
    def start():
        client = installation.client(tls12=True)
        client.log_in(installation.token())
        return client

    client = await asyncio.to_thread(start)
    relays = (installation.relay, second)
    while not any(len(relay.door.splices) for relay in relays):
        await asyncio.sleep(0.01)
    relay = next(relay for relay in relays if len(relay.door.splices))
    caller = DrainClient(installation.layout.socket(relay.door.settings.name))
    assert (await caller.status())["splices"] == 1
    await caller.drain(30)
    await caller.close()
    closing = asyncio.create_task(relay.close(await relay.drained))
    for _ in range(10):
        assert await asyncio.to_thread(log_in, installation) == b"Z"
    answers = await asyncio.to_thread(client.query, "hello")
    assert any(b"hello" in body for _, body in answers)
    assert not closing.done()
    client.close()
    await asyncio.wait_for(closing, 5)


@pytest.mark.parametrize(
    ("option", "parameter"),
    [
        (socket.TCP_KEEPIDLE, "tcp_keepalives_idle"),
        (socket.TCP_KEEPINTVL, "tcp_keepalives_interval"),
        (socket.TCP_KEEPCNT, "tcp_keepalives_count"),
    ],
)
async def test_sessions_inherit_the_keepalive_that_they_show(
    installation, option: int, parameter: str
) -> None:
    listener = installation.relay._server.sockets[0]
    assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert str(listener.getsockopt(socket.IPPROTO_TCP, option)) == DEFINITIONS[parameter].default


async def test_renewed_certificate_of_the_relay_is_noticed(installation) -> None:
    door, layout = installation.relay.door, installation.layout
    before = door.entry_context
    door.housekeep()
    assert door.entry_context is before
    layout.relay_certificate.rename(layout.relay_certificate.with_suffix(".old"))
    layout.relay_certificate.write_bytes(layout.relay_certificate.with_suffix(".old").read_bytes())
    door.housekeep()
    assert door.entry_context is not before


@pytest.mark.parametrize("settings", [Settings(drain_seconds=0.1, metrics_at=("127.0.0.1", 0))])
async def test_prometheus_finds_every_counter_and_the_health(installation) -> None:
    metrics = installation.relay.door.metrics
    metrics.gave_way = 3
    metrics.refused["53300"] += 2

    async def ask(request: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(*installation.relay.metrics_address)
        writer.write(request)
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer

    head, _, body = (await ask(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    lines = body.decode().splitlines()
    assert 'dsql_relay_gave_way_total{relay="relay-1"} 3' in lines
    assert 'dsql_relay_refused_total{relay="relay-1",sqlstate="53300"} 2' in lines
    assert "# TYPE dsql_relay_open_logins gauge" in lines
    assert len([line for line in lines if line.startswith("# TYPE dsql_relay_")]) == len(
        metrics.__struct_fields__
    )
    assert 'dsql_role_up{role="agent",az=""} 1' in lines
    assert "dsql_severity 2" in lines  # there is no zone
    assert (await ask(b"GET / HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 404 ")
    assert (await ask(b"x" * 10_000)).startswith(b"HTTP/1.1 431 ")
