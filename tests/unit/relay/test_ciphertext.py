from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from relay.ciphertext import Copies

MIB = 1024 * 1024


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = socket.create_connection(listener.getsockname())
        other, _ = listener.accept()
    for end in (one, other):
        end.setblocking(False)
    return one, other


class Ends:
    """A client, a server, and the copies between them."""

    def __init__(self) -> None:
        self.copies = Copies()
        self.client, self._inner_client = tcp_pair()
        self.server, self.inner_server = tcp_pair()
        self.transport: asyncio.Transport

    async def accept(self) -> None:
        loop = asyncio.get_running_loop()
        self.transport, _ = await loop.connect_accepted_socket(asyncio.Protocol, self._inner_client)
        self.transport.pause_reading()

    async def start(self) -> None:
        await self.copies.start(self.transport, self.inner_server)

    async def until_ended(self) -> None:
        async with asyncio.timeout(10):
            while len(self.copies):
                await asyncio.sleep(0)


async def read(end: socket.socket, size: int) -> bytes:
    """Return so many bytes, fewer at the end."""
    loop, data = asyncio.get_running_loop(), b""
    async with asyncio.timeout(30):
        while len(data) < size and (part := await loop.sock_recv(end, size - len(data))):
            data += part
    return data


async def send(end: socket.socket, data: bytes) -> None:
    await asyncio.get_running_loop().sock_sendall(end, data)


@pytest.fixture
async def ends() -> AsyncIterator[Ends]:
    ends = Ends()
    await ends.accept()
    yield ends
    ends.copies.abort()
    ends.transport.abort()
    await ends.until_ended()
    for end in (ends.client, ends.server):
        end.close()


async def test_what_was_said_before_the_copy_begins_arrives(ends: Ends) -> None:
    await send(ends.client, b"question")
    await send(ends.server, b"greeting")
    await ends.start()
    assert await read(ends.client, 8) == b"greeting"
    assert await read(ends.server, 8) == b"question"
    assert len(ends.copies) == 1


async def test_the_clients_end_is_passed_on_and_the_server_may_still_answer(ends: Ends) -> None:
    await ends.start()
    await send(ends.client, b"last")
    ends.client.shutdown(socket.SHUT_WR)
    assert await read(ends.server, 100) == b"last"
    await send(ends.server, b"answer")
    assert await read(ends.client, 6) == b"answer"
    ends.server.close()
    assert await read(ends.client, 1) == b""
    await ends.until_ended()


async def test_the_servers_end_closes_the_client_after_its_last_words(ends: Ends) -> None:
    await ends.start()
    await send(ends.server, b"x" * MIB)
    ends.server.close()
    assert len(await read(ends.client, 2 * MIB)) == MIB
    await ends.until_ended()


@pytest.mark.parametrize("way", ["to the client", "to the server"])
async def test_who_does_not_read_is_not_read_for(ends: Ends, way: str) -> None:
    await ends.start()
    source, sink = (
        (ends.server, ends.client) if way == "to the client" else (ends.client, ends.server)
    )
    (client_side,) = ends.copies._open
    sending = asyncio.create_task(send(source, bytes(32 * MIB)))
    received = most = 0
    while received < 32 * MIB:
        received += len(await read(sink, MIB // 4))
        held = client_side.transport, client_side.other
        most = max(most, *(transport.get_write_buffer_size() for transport in held))
    await sending
    assert most < 2 * MIB


async def test_a_client_that_left_before_the_copy_began_ends_its_session(ends: Ends) -> None:
    ends.transport.abort()
    await ends.start()
    assert await read(ends.server, 1) == b""
    assert not len(ends.copies)


async def test_abort_ends_both_sides(ends: Ends) -> None:
    await ends.start()
    ends.copies.abort()
    await ends.until_ended()
    for end in (ends.client, ends.server):
        try:
            assert await read(end, 1) == b""
        except ConnectionResetError:
            continue
