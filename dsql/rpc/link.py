"""What roles on different hosts of one installation say to each other: packets inside mutual TLS.

Each end shows a certificate of the installation's authority that bears LINK_NAME, so a cluster's or a
relay's certificate opens nothing here. Which role is meant is agreed by ALPN. Inside, packets are the same
as on Unix sockets (`dsql.rpc.packets`), in frames, but without descriptors: a connection that is to be
given away is made beside the link, and shows a ticket (`dsql.rpc.link_server`).
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple, cast

from dsql.rpc.framing import FrameDecoder, FrameError, frame
from dsql.rpc.packets import PACKET_BYTES_MAX, Received
from dsql.rpc.tcp import keep_alive

LINK_NAME = "link.dsql.internal"
CONNECT_SECONDS = 5.0
TICKET_MARK = b"T"  # no TLS record begins with it
TICKET_BYTES = 32
UNSENT_BYTES_MAX = 8 * 1024 * 1024


class LinkFiles(NamedTuple):
    """The authority's certificate, and our own with its private key."""

    authority: Path
    certificate: Path
    key: Path

    def server_context(self, services: Iterable[str]) -> ssl.SSLContext:
        """Return what a host shows to who calls it. Raises OSError (ssl.SSLError is one)."""
        context = self._context(ssl.PROTOCOL_TLS_SERVER, services)
        context.verify_mode = ssl.CERT_REQUIRED
        context.num_tickets = 0
        return context

    def client_context(self, service: str) -> ssl.SSLContext:
        """Return what a caller shows. Raises OSError."""
        return self._context(ssl.PROTOCOL_TLS_CLIENT, [service])

    def _context(self, protocol: ssl._SSLMethod, services: Iterable[str]) -> ssl.SSLContext:
        context = ssl.SSLContext(protocol)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_verify_locations(self.authority)
        context.load_cert_chain(self.certificate, self.key)
        context.set_alpn_protocols([_protocol_of(service) for service in services])
        return context


def _protocol_of(service: str) -> str:
    return f"dsql-{service}"


class LinkChannel(asyncio.Protocol):
    """One end of a link, once it is authenticated; to its user what a `PacketChannel` is.

    `opened(self)` is called then, and has to `attach`.
    """

    _transport: asyncio.Transport

    def __init__(self, opened: Callable[[LinkChannel], None]) -> None:
        self._opened = opened
        self._frames = FrameDecoder(PACKET_BYTES_MAX)
        self._received: Received = lambda *_: None
        self._closed: Callable[[], None] = lambda: None
        self._open = False

    def attach(self, received: Received, closed: Callable[[], None]) -> None:
        """Pass packets on from now on; `closed` is called once, for whatever reason it ended."""
        self._received, self._closed = received, closed

    @property
    def service(self) -> str:
        """The role that the caller has asked for, "" for none that is here."""
        agreed = self._transport.get_extra_info("ssl_object").selected_alpn_protocol()
        return (agreed or "").removeprefix("dsql-")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol: the handshake is over."""
        self._transport = cast(asyncio.Transport, transport)
        self._open = True
        names = self._transport.get_extra_info("peercert").get("subjectAltName", ())
        if ("DNS", LINK_NAME) in names:
            self._opened(self)
        else:
            self.close()

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        try:
            packets = self._frames.feed(data)
        except FrameError:
            self.close()
            return
        for packet in packets:
            if self._open:
                self._received(packet, [])

    def connection_lost(self, _: Exception | None) -> None:
        """See asyncio.Protocol."""
        self.close()

    def send(self, packet: bytes, descriptors: Iterable[int] = ()) -> None:
        """Send a packet. Raises ConnectionError once closed; one whose peer does not read is closed."""
        assert not tuple(descriptors), "no descriptor leaves its host"
        if not self._open:
            raise ConnectionError("the link is closed")
        if self._transport.get_write_buffer_size() > UNSENT_BYTES_MAX:
            self._transport.abort()
            self.close()
            raise ConnectionError("nobody reads at the other end")
        self._transport.write(frame(packet))

    def close(self) -> None:
        """Close, after what was sent."""
        if self._open:
            self._open = False
            self._transport.close()
            self._closed()


async def connect(
    address: tuple[str, int],
    files: LinkFiles,
    service: str,
    received: Received,
    closed: Callable[[], None],
) -> LinkChannel:
    """Call a role of the host at `address`. Raises ConnectionRefusedError if that is not possible."""
    loop = asyncio.get_running_loop()
    connection = await _connect_tcp(address)
    try:
        context = files.client_context(service)
        _, channel = await loop.create_connection(
            lambda: LinkChannel(lambda channel: channel.attach(received, closed)),
            sock=connection,
            ssl=context,
            server_hostname=LINK_NAME,
            ssl_handshake_timeout=CONNECT_SECONDS,
        )
    except OSError as error:
        connection.close()
        raise ConnectionRefusedError(f"no link to {shown(address)}: {error}") from error
    return channel


async def present_ticket(address: tuple[str, int], ticket: bytes) -> socket.socket:
    """Return a connection that the host at `address` gives to whom the ticket is for.

    Raises ConnectionRefusedError.
    """
    assert len(ticket) == TICKET_BYTES, "tickets are of one size"
    connection = await _connect_tcp(address)
    try:
        await asyncio.get_running_loop().sock_sendall(connection, TICKET_MARK + ticket)
    except OSError as error:
        connection.close()
        raise ConnectionRefusedError(str(error)) from error
    return connection


async def _connect_tcp(address: tuple[str, int]) -> socket.socket:
    connection = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
    connection.setblocking(False)
    keep_alive(connection)
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            await asyncio.get_running_loop().sock_connect(connection, address)
    except OSError as error:  # TimeoutError is one
        connection.close()
        raise ConnectionRefusedError(f"{shown(address)} does not answer: {error}") from error
    except BaseException:
        connection.close()
        raise
    return connection


def shown(address: tuple[str, int]) -> str:
    """Return HOST:PORT, or [HOST]:PORT."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def address_of(text: str) -> tuple[str, int]:
    """Return what `shown` has made a text of.

    >>> address_of("[::1]:5440"), address_of("10.0.0.1:5440")
    (('::1', 5440), ('10.0.0.1', 5440))
    """
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)
