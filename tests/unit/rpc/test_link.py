from __future__ import annotations

import asyncio
import datetime
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from dsql.control.authority import Authority, ensure_certificates
from dsql.control.clusters import create_cluster
from dsql.control.layout import Layout
from dsql.rpc import link, link_server
from dsql.rpc.link import TICKET_BYTES, TICKET_MARK, LinkChannel, LinkFiles, address_of, connect
from dsql.rpc.link_server import LinkServer
from dsql.rpc.packets import PACKET_BYTES_MAX

TICKET = bytes(range(TICKET_BYTES))


class Role:
    """The role `echo`: it sends every packet back, and redeems one ticket."""

    def __init__(self, layout: Layout) -> None:
        self.server = LinkServer(("127.0.0.1", 0), layout.link)
        self.server.serve("echo", self._accept, self._redeem)
        self.address = address_of(self.server.name)
        self.callers: list[LinkChannel] = []
        self.redeemed: asyncio.Queue[socket.socket] = asyncio.Queue()
        self.ended = asyncio.Event()

    def _accept(self, channel: LinkChannel) -> None:
        self.callers.append(channel)
        channel.attach(lambda packet, _: channel.send(packet), self.ended.set)

    def _redeem(self, ticket: bytes, connection: socket.socket) -> bool:
        if ticket != TICKET:
            return False
        self.redeemed.put_nowait(connection)
        return True


class Caller:
    """One that calls the role."""

    def __init__(self) -> None:
        self.received: asyncio.Queue[bytes] = asyncio.Queue()
        self.ended = asyncio.Event()

    async def call(self, role: Role, files: LinkFiles, service: str = "echo") -> LinkChannel:
        received = lambda packet, _: self.received.put_nowait(packet)  # noqa: E731
        return await connect(role.address, files, service, received, self.ended.set)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path)
    authority = Authority.open(layout)
    create_cluster(layout, authority)
    ensure_certificates(layout, authority, datetime.datetime.now(datetime.UTC))
    return layout


@pytest.fixture
async def role(layout: Layout) -> Iterator[Role]:
    role = Role(layout)
    yield role
    role.server.close()
    for caller in role.callers:
        caller.close()


async def ended(reader: socket.socket) -> bool:
    """Return whether the other end closes the connection."""
    reader.setblocking(False)
    async with asyncio.timeout(10):
        try:
            return await asyncio.get_running_loop().sock_recv(reader, 1) == b""
        except ConnectionError:
            return True


async def test_packets_go_both_ways(role: Role, layout: Layout) -> None:
    caller = Caller()
    channel = await caller.call(role, layout.link)
    packets = [b"one", b"x" * PACKET_BYTES_MAX, b"three"]
    for packet in packets:
        channel.send(packet)
    assert [await caller.received.get() for _ in packets] == packets
    channel.close()
    await role.ended.wait()
    with pytest.raises(ConnectionError):
        channel.send(b"late")


async def test_a_clusters_or_relays_certificate_opens_no_link(role: Role, layout: Layout) -> None:
    (cluster,) = layout.cluster_identifiers()
    for certificate, key in (
        (layout.certificate(cluster), layout.key(cluster)),
        (layout.relay_certificate, layout.relay_key),
    ):
        caller = Caller()
        files = LinkFiles(layout.ca_certificate, certificate, key)
        try:
            channel = await caller.call(role, files)
        except ConnectionRefusedError:
            continue
        await caller.ended.wait()  # TLS 1.3: the caller learns of it afterwards
        channel.close()
    assert not role.callers


async def test_a_host_that_shows_a_clusters_certificate_is_not_called(layout: Layout) -> None:
    (cluster,) = layout.cluster_identifiers()
    files = LinkFiles(layout.ca_certificate, layout.certificate(cluster), layout.key(cluster))
    server = LinkServer(("127.0.0.1", 0), files)
    with pytest.raises(ConnectionRefusedError, match="no link"):
        await connect(address_of(server.name), layout.link, "echo", lambda *_: None, lambda: None)
    server.close()


async def test_another_installations_certificate_opens_no_link(
    role: Role, layout: Layout, tmp_path: Path
) -> None:
    stranger = Layout(tmp_path / "other")
    ensure_certificates(stranger, Authority.open(stranger), datetime.datetime.now(datetime.UTC))
    with pytest.raises(ConnectionRefusedError):
        await Caller().call(role, stranger.link)
    caller = Caller()
    trusting = LinkFiles(layout.ca_certificate, *stranger.link[1:])
    channel = await caller.call(role, trusting)
    await caller.ended.wait()
    channel.close()
    assert not role.callers


async def test_a_role_that_is_not_there_is_not_reached(role: Role, layout: Layout) -> None:
    caller = Caller()
    channel = await caller.call(role, layout.link, "elsewhere")
    await caller.ended.wait()
    channel.close()
    assert not role.callers


async def test_a_packet_that_is_too_long_ends_the_link(role: Role, layout: Layout) -> None:
    caller = Caller()
    channel = await caller.call(role, layout.link)
    channel._transport.write(struct.pack(">I", PACKET_BYTES_MAX + 1))
    await role.ended.wait()
    channel.close()


async def test_who_does_not_read_is_given_up(role: Role, layout: Layout, monkeypatch) -> None:
    monkeypatch.setattr(link, "UNSENT_BYTES_MAX", 1024 * 1024)
    caller = Caller()
    channel = await caller.call(role, layout.link)
    channel._transport.pause_reading()
    channel.send(b"x")
    while not role.callers:
        await asyncio.sleep(0)
    with pytest.raises(ConnectionError, match="nobody reads"):
        for _ in range(1_000):
            role.callers[0].send(bytes(PACKET_BYTES_MAX))
    assert role.ended.is_set()
    channel.close()


async def test_a_connection_with_a_ticket_is_given_away_with_all_that_follows(role: Role) -> None:
    connection = await link.present_ticket(role.address, TICKET)
    with connection:
        await asyncio.get_running_loop().sock_sendall(connection, b"hello")
        given = await role.redeemed.get()
        with given:
            assert await asyncio.get_running_loop().sock_recv(given, 100) == b"hello"


@pytest.mark.parametrize(
    "said", [TICKET_MARK + bytes(TICKET_BYTES), b"GET / HTTP/1.0\r\n\r\n" + bytes(40), b"\x16" * 40]
)
async def test_who_shows_nothing_valid_is_sent_away(role: Role, said: bytes) -> None:
    with socket.create_connection(role.address) as stranger:
        stranger.sendall(said)
        stranger.shutdown(socket.SHUT_WR)
        stranger.setblocking(False)
        async with asyncio.timeout(10):
            while True:  # an alert may come before the end
                try:
                    if not await asyncio.get_running_loop().sock_recv(stranger, 100):
                        break
                except ConnectionError:
                    break
    assert not role.callers


async def test_the_oldest_of_too_many_strangers_gives_way(role: Role, monkeypatch) -> None:
    monkeypatch.setattr(link_server, "STRANGERS_MAX", 2)
    strangers = [socket.create_connection(role.address) for _ in range(3)]
    assert await ended(strangers[0])
    strangers[2].sendall(TICKET_MARK + TICKET)
    (await role.redeemed.get()).close()
    for stranger in strangers:
        stranger.close()


async def test_a_silent_stranger_has_a_deadline(role: Role, monkeypatch) -> None:
    monkeypatch.setattr(link_server, "STRANGER_SECONDS", 0.01)
    with socket.create_connection(role.address) as stranger:
        assert await ended(stranger)


async def test_a_renewed_certificate_is_shown_to_the_next_caller(
    role: Role, layout: Layout
) -> None:
    first = role.server.context()
    assert role.server.context() is first
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=61)
    ensure_certificates(layout, Authority.open(layout), later)
    assert role.server.context() is not first
