"""The decrypting copy for clients whose TLS cannot be handed over (TLS 1.2).

The query processor gets one end of a socket pair; this copies between the other end and the client, with
TLS towards the client. A side that cannot take more stops the reading of the other one. The client's end
(close_notify, or a plain FIN) is passed on as the end of the stream; the server's end closes the client.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import cast

from relay.tls import TlsChannel, TlsError

_log = logging.getLogger(__name__)


class Splices:
    """All splices of a relay."""

    def __init__(self) -> None:
        self._open: set[Splice] = set()

    def __len__(self) -> int:
        return len(self._open)

    async def start(
        self, channel: TlsChannel, client: asyncio.Transport, server: socket.socket
    ) -> None:
        """Copy between the client's paused transport and the socket `server` until both are closed."""
        splice = Splice(channel, client, self._open.discard)
        loop = asyncio.get_running_loop()
        await loop.create_unix_connection(splice.server_protocol, sock=server)
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
        self, channel: TlsChannel, client: asyncio.Transport, ended: Callable[[Splice], None]
    ) -> None:
        self.channel = channel
        self.client = client
        self.server: asyncio.Transport | None = None
        self._sides_open = 2
        self._ended = ended

    def client_protocol(self) -> asyncio.Protocol:
        """Return what the client's transport has to be given."""
        return _ClientSide(self)

    def server_protocol(self) -> asyncio.Protocol:
        """Return what serves the inner end of the socket pair."""
        return _ServerSide(self)

    def forward_to_server(self) -> None:
        """Decrypt whatever whole records there are and pass their data on."""
        assert self.server is not None
        channel = self.channel
        try:
            while (plaintext := channel.next_plaintext()) is not None:
                self.server.write(plaintext)
        except TlsError as error:
            _log.info("TLS of a spliced client failed: %s", error)
            self.abort()
            return
        self.flush_to_client()
        if channel.closed and self.server.can_write_eof():
            self.server.write_eof()

    def flush_to_client(self) -> None:
        """Send what TLS has to say to the client."""
        if output := self.channel.drain():
            self.client.write(output)

    def side_closed(self) -> None:
        """Close the other side too, after what it still has to be sent."""
        self._sides_open -= 1
        if self._sides_open == 0:
            self._ended(self)
        self.client.close()
        if self.server is not None:
            self.server.close()

    def abort(self) -> None:
        """Drop both connections."""
        self.client.abort()
        if self.server is not None:
            self.server.abort()


class _ClientSide(asyncio.Protocol):
    def __init__(self, splice: Splice) -> None:
        self._splice = splice

    def data_received(self, data: bytes) -> None:
        self._splice.channel.receive(data)
        self._splice.forward_to_server()

    def eof_received(self) -> bool:
        server = self._splice.server
        if server is not None and not server.is_closing() and server.can_write_eof():
            server.write_eof()
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
        self._splice.channel.send(data)
        self._splice.flush_to_client()

    def eof_received(self) -> bool:
        self._splice.channel.finish()
        self._splice.flush_to_client()
        return False

    def pause_writing(self) -> None:
        self._splice.client.pause_reading()

    def resume_writing(self) -> None:
        self._splice.client.resume_reading()

    def connection_lost(self, _: Exception | None) -> None:
        self._splice.side_closed()
