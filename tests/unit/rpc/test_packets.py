from __future__ import annotations

import array
import asyncio
import contextlib
import os
import random
import socket
import stat
from pathlib import Path

import pytest

from dsql.rpc.packets import (
    DESCRIPTORS_MAX,
    PACKET_BYTES_MAX,
    PacketChannel,
    PacketServer,
    close_all,
    connect,
    pair,
    receive,
    send,
)


def test_packet_arrives_whole_with_its_descriptors() -> None:
    left, right = pair()
    read_end, write_end = os.pipe()
    with left, right:
        send(left, b"one", (write_end,))
        send(left, b"x" * PACKET_BYTES_MAX)
        os.close(write_end)
        packet, descriptors = receive(right)
        assert packet == b"one"
        os.write(descriptors[0], b"through")
        os.close(descriptors[0])
        assert os.read(read_end, 10) == b"through"
        assert receive(right) == (b"x" * PACKET_BYTES_MAX, [])
    os.close(read_end)


def test_end_of_the_other_side_is_an_empty_packet() -> None:
    left, right = pair()
    left.close()
    with right:
        assert receive(right) == (b"", [])


def test_too_large_packet_is_refused_before_it_is_sent() -> None:
    left, right = pair()
    with left, right, pytest.raises(ValueError, match="too large"):
        send(left, b"x" * (PACKET_BYTES_MAX + 1))


async def test_channel_keeps_order_when_the_socket_is_full() -> None:
    left, right = pair()
    channel = PacketChannel(left, lambda *_: None, lambda: None)
    read_end, write_end = os.pipe()
    sent = [b"%d" % number * 20_000 for number in range(100)]
    for packet in sent:
        channel.send(packet, (write_end,))
    os.close(write_end)
    right.setblocking(False)
    received = []
    while len(received) < len(sent):
        try:
            packet, descriptors = receive(right)
        except BlockingIOError:
            await asyncio.sleep(0.001)
            continue
        received.append(packet)
        os.close(*descriptors)
    assert received == sent
    assert os.read(read_end, 1) == b""  # every copy of the descriptor is closed
    channel.close()
    right.close()
    os.close(read_end)


async def test_channel_tells_once_that_it_is_closed() -> None:
    left, right = pair()
    closed = []
    channel = PacketChannel(left, lambda *_: None, lambda: closed.append(True))
    right.close()
    await asyncio.sleep(0.01)
    channel.close()
    assert closed == [True]
    with pytest.raises(ConnectionError):
        channel.send(b"late")


async def test_listener_is_its_owners_only(tmp_path: Path) -> None:
    path = tmp_path / "role.sock"
    accepted = asyncio.get_running_loop().create_future()
    server = PacketServer(path, accepted.set_result)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with connect(path) as client:
        send(client, b"hello")
        with await asyncio.wait_for(accepted, 5) as connection:
            assert receive(connection) == (b"hello", [])
    server.close()
    assert not path.exists()


@pytest.mark.parametrize("seed", range(10))
async def test_whatever_comes_is_a_packet_or_the_end_and_no_descriptor_is_left(seed: int) -> None:
    chance = random.Random(seed)
    before = len(os.listdir("/proc/self/fd"))
    left, right = pair()
    ended = asyncio.Event()

    def received(packet: bytes, descriptors: list[int]) -> None:
        assert 0 < len(packet) <= PACKET_BYTES_MAX
        assert len(descriptors) <= DESCRIPTORS_MAX
        close_all(descriptors)

    channel = PacketChannel(left, received, ended.set)
    with right:
        right.setblocking(False)
        for _ in range(50):
            size = chance.choice((0, 1, 1_000, PACKET_BYTES_MAX, PACKET_BYTES_MAX + 1))
            rights = array.array("i", [2] * chance.randrange(DESCRIPTORS_MAX + 3))
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)] if rights else []
            with contextlib.suppress(OSError):
                right.sendmsg([chance.randbytes(size)], ancillary)
            await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await ended.wait()
    channel.close()
    assert len(os.listdir("/proc/self/fd")) == before
