"""The decrypting copy for clients whose TLS cannot be handed over (TLS 1.2).

The query processor gets one end of a socket pair; this copies between the other end and the client, with
TLS towards the client. If it is on another host, it gets one end of a TCP connection, and a record layer of
its own protects what is copied. A side that cannot take more stops the reading of the other one. The
client's end (close_notify, or a plain FIN) is passed on as the end of the stream; the server's end closes
the client. A server that is to end listens no more before it has said why. So what goes to it has a
transport of its own, which may break without taking along what is still to be read.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import cast

from dsql.tls.record import RecordLayer
from relay.tls import TlsChannel, TlsError

_log = logging.getLogger(__name__)


class Splices:
    """All splices of a relay."""

    def __init__(self) -> None:
        self._open: set[Splice] = set()

    def __len__(self) -> int:
        return len(self._open)

    async def start(
        self,
        channel: TlsChannel,
        client: asyncio.Transport,
        server: socket.socket,
        records: RecordLayer | None = None,
    ) -> None:
        """Copy between the client's paused transport and the socket `server` until both are closed.

        `records`: `server` goes to another host, and what goes there is encrypted with them.
        """
        splice = Splice(channel, client, self._open.discard, records)
        loop = asyncio.get_running_loop()
        connect = loop.create_unix_connection if records is None else loop.create_connection
        input_, _ = await connect(splice.input_protocol, sock=server.dup())
        input_.pause_reading()
        await connect(splice.server_protocol, sock=server)
        self._open.add(splice)
        client.set_protocol(splice.client_protocol())
        client.set_write_buffer_limits()
        splice.forward_to_server()
        client.resume_reading()

    def abort(self) -> None:
        """Drop every connection."""
        for splice in list(self._open):
            splice.abort()


class Splice:
    """Two connections joined. `ended(self)` is called once, when both are closed."""

    def __init__(
        self,
        channel: TlsChannel,
        client: asyncio.Transport,
        ended: Callable[[Splice], None],
        records: RecordLayer | None = None,
    ) -> None:
        self.channel = channel
        self._records = records
        self.client = client
        self.server: asyncio.Transport | None = None  # it is read from this one
        self.input: asyncio.Transport | None = None  # and written to this one
        self._sides_open = 2
        self._ended = ended

    def client_protocol(self) -> asyncio.Protocol:
        """Return what the client's transport has to be given."""
        return _ClientSide(self)

    def server_protocol(self) -> asyncio.Protocol:
        """Return what serves the inner end of the socket pair."""
        return _ServerSide(self)

    def input_protocol(self) -> asyncio.Protocol:
        """Return what only writes to that end."""
        return _InputSide(self)

    def forward_to_server(self) -> None:
        """Decrypt whatever whole records there are and pass their data on."""
        assert self.input is not None
        channel = self.channel
        try:
            while (plaintext := channel.next_plaintext()) is not None:
                if not self.input.is_closing():
                    records = self._records
                    self.input.write(plaintext if records is None else records.seal(plaintext))
        except TlsError as error:
            _log.info("TLS of a spliced client failed: %s", error)
            self.abort()
            return
        self.flush_to_client()
        if channel.closed:
            self.end_input()

    def end_input(self) -> None:
        """Tell the server that nothing more comes from the client."""
        if self.input is not None and not self.input.is_closing():
            self.input.write_eof()

    def forward_to_client(self, data: bytes) -> None:
        """Encrypt what the server says and pass it on."""
        try:
            plaintext = data if self._records is None else self._records.open(data)
        except ConnectionError as error:
            _log.warning("a link does not carry what was sent: %s", error)
            self.abort()
            return
        if plaintext:
            self.channel.send(plaintext)
        self.flush_to_client()

    def flush_to_client(self) -> None:
        """Send what TLS has to say to the client."""
        if output := self.channel.drain():
            self.client.write(output)

    def side_closed(self) -> None:
        """Close the other side too, after what it still has to be sent."""
        self._sides_open -= 1
        if self._sides_open == 0:
            self._ended(self)
        for transport in (self.client, self.server, self.input):
            if transport is not None:
                transport.close()

    def abort(self) -> None:
        """Drop both connections."""
        for transport in (self.client, self.server, self.input):
            if transport is not None:
                transport.abort()


class _ClientSide(asyncio.Protocol):
    def __init__(self, splice: Splice) -> None:
        self._splice = splice

    def data_received(self, data: bytes) -> None:
        self._splice.channel.receive(data)
        self._splice.forward_to_server()

    def eof_received(self) -> bool:
        self._splice.end_input()
        return True  # the server may still be answering

    def pause_writing(self) -> None:
        if self._splice.server is not None:
            self._splice.server.pause_reading()

    def resume_writing(self) -> None:
        if self._splice.server is not None:
            self._splice.server.resume_reading()

    def connection_lost(self, _: Exception | None) -> None:
        self._splice.side_closed()


class _ServerSide(asyncio.Protocol):
    def __init__(self, splice: Splice) -> None:
        self._splice = splice

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._splice.server = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._splice.forward_to_client(data)

    def eof_received(self) -> bool:
        self._splice.channel.finish()
        self._splice.flush_to_client()
        return False

    def connection_lost(self, _: Exception | None) -> None:
        self._splice.side_closed()


class _InputSide(asyncio.Protocol):
    def __init__(self, splice: Splice) -> None:
        self._splice = splice

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._splice.input = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:  # what came before it was told not to read
        self._splice.forward_to_client(data)

    def pause_writing(self) -> None:
        self._splice.client.pause_reading()

    def resume_writing(self) -> None:
        self._splice.client.resume_reading()

    def connection_lost(self, _: Exception | None) -> None:
        if not self._splice.client.is_closing():
            self._splice.client.resume_reading()  # its end still has to be noticed
