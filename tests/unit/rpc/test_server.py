"""Framed connections over real Unix sockets, from an event loop and from a blocking process."""

from __future__ import annotations

import asyncio
import gc
import os

import pytest

from dsql.rpc.client import BlockingConnection, ask_status, connect_blocking
from dsql.rpc.messages import Hello, StatusReply, StatusRequest, decode_opening, encode
from dsql.rpc.server import FramedConnection, ProtocolError, listen, peer_is_trusted, peer_uid


class Echo(FramedConnection):
    def frame_received(self, body: bytes) -> None:
        if body == b"bad":
            raise ProtocolError("a bad frame")
        self.send(body)


class Status(FramedConnection):
    def frame_received(self, body: bytes) -> None:
        assert isinstance(decode_opening(body), StatusRequest)
        self.send(encode(StatusReply({"role": "echo", "watermark": 7})))


async def test_blocking_client_gets_each_frame_back(tmp_path):
    listener = await listen(tmp_path / "s", Echo)

    def talk() -> list[bytes]:
        connection = BlockingConnection(connect_blocking(tmp_path / "s"))
        connection.send(b"one", 5.0)
        connection.send(b"x" * 1_000_000, 5.0)
        received = [connection.receive(5.0), connection.receive(5.0)]
        connection.close()
        return received

    assert await asyncio.to_thread(talk) == [b"one", b"x" * 1_000_000]
    listener.close()


async def test_who_is_accepted_while_the_listener_closes_is_closed_too(tmp_path):
    listener = await listen(tmp_path / "s", Echo)
    loop = asyncio.get_running_loop()
    caller = connect_blocking(tmp_path / "s")  # waits when the loop looks for the next time
    caller.settimeout(5)
    loop.call_soon(loop.call_soon, listener.close)  # in the same turn as its acceptance
    await asyncio.sleep(0.05)
    assert await asyncio.to_thread(caller.recv, 1) == b""
    caller.close()
    gc.collect()  # an unclosed socket is an error


async def test_protocol_error_closes_only_that_connection(tmp_path):
    listener = await listen(tmp_path / "s", Echo)

    def talk() -> bytes:
        good = BlockingConnection(connect_blocking(tmp_path / "s"))
        bad = BlockingConnection(connect_blocking(tmp_path / "s"))
        bad.send(b"bad", 5.0)
        with pytest.raises(ConnectionError):
            bad.receive(5.0)
        good.send(b"still here", 5.0)
        received = good.receive(5.0)
        good.close()
        bad.close()
        return received

    assert await asyncio.to_thread(talk) == b"still here"
    listener.close()


async def test_receive_gives_up_at_its_deadline(tmp_path):
    listener = await listen(tmp_path / "s", Echo)

    def talk() -> None:
        connection = BlockingConnection(connect_blocking(tmp_path / "s"))
        try:
            connection.receive(0.05)
        finally:
            connection.close()

    with pytest.raises(TimeoutError):
        await asyncio.to_thread(talk)
    listener.close()


async def test_any_role_tells_its_status(tmp_path):
    listener = await listen(tmp_path / "s", Status)
    reply = await asyncio.to_thread(ask_status, tmp_path / "s")
    assert reply.values == {"role": "echo", "watermark": 7}
    listener.close()


async def test_socket_is_private_and_its_peer_is_known(tmp_path):
    listener = await listen(tmp_path / "s", Echo)
    assert (tmp_path / "s").stat().st_mode & 0o777 == 0o600
    connected = connect_blocking(tmp_path / "s")
    assert peer_uid(connected) == os.geteuid()
    assert peer_is_trusted(connected)
    connected.close()
    listener.close()


def test_identifier_that_could_be_a_path_is_not_valid():
    assert Hello("a" * 26).valid
    assert not Hello("../" + "a" * 23).valid
