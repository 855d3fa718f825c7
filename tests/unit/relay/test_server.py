import asyncio
import socket

import pytest

from relay.front_door import Settings
from relay.server import RelayServer, serve


async def test_server_says_where_it_listens_and_when_it_is_ready(installation) -> None:
    layout, ready = installation.layout, asyncio.Event()
    layout.relay_address.unlink(missing_ok=True)
    task = asyncio.create_task(
        serve(layout, "127.0.0.1", 0, settings=Settings(drain_seconds=0.1), on_ready=ready.set)
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
    with pytest.raises(OSError):
        await RelayServer.start(installation.layout, "127.0.0.1", installation.port)


async def test_sessions_inherit_keepalive(installation) -> None:
    client = socket.create_connection(("127.0.0.1", installation.port))
    listener = installation.relay._server.sockets[0]
    assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    client.close()


async def test_renewed_certificate_of_the_relay_is_noticed(installation) -> None:
    door, layout = installation.relay.door, installation.layout
    before = door.entry_context
    door.housekeep()
    assert door.entry_context is before
    layout.relay_certificate.rename(layout.relay_certificate.with_suffix(".old"))
    layout.relay_certificate.write_bytes(layout.relay_certificate.with_suffix(".old").read_bytes())
    door.housekeep()
    assert door.entry_context is not before
