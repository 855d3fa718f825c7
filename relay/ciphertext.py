"""The copy of ciphertext between a client and a query processor on another host.

The relay has given the TLS state away and cannot read what it copies. A side that cannot take more stops
the reading of the other one, so a copy holds some 64 KiB each way. The client's end of its stream is passed
on as that, and the server may still be answering; the server's end closes the client.
"""

from __future__ import annotations

import asyncio
import socket
from typing import cast


class Copies:
    """All copies of a relay."""

    def __init__(self) -> None:
        self._open: set[_ClientSide] = set()

    def __len__(self) -> int:
        return len(self._open)

    async def start(self, client: asyncio.Transport, server: socket.socket) -> None:
        """Copy between the client's paused transport and the socket `server` until one is closed."""
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_connection(lambda: _Side(client), sock=server)
        if client.is_closing():
            transport.abort()
            return
        client_side = _ClientSide(transport, self._open)
        client_side.connection_made(client)
        self._open.add(client_side)
        client.set_protocol(client_side)
        client.set_write_buffer_limits()
        client.resume_reading()

    def abort(self) -> None:
        """Drop every connection."""
        for side in list(self._open):
            side.transport.abort()


class _Side(asyncio.Protocol):
    """Passes on to the `other` transport what its own receives; this is the server's side."""

    transport: asyncio.Transport

    def __init__(self, other: asyncio.Transport) -> None:
        self.other = other

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.other.write(data)

    def pause_writing(self) -> None:
        self.other.pause_reading()

    def resume_writing(self) -> None:
        self.other.resume_reading()

    def connection_lost(self, _: Exception | None) -> None:
        self.other.close()  # after what it still has to be sent


class _ClientSide(_Side):
    def __init__(self, other: asyncio.Transport, opened: set[_ClientSide]) -> None:
        super().__init__(other)
        self._opened = opened

    def eof_received(self) -> bool:
        if not self.other.is_closing():
            self.other.write_eof()
        return True

    def connection_lost(self, error: Exception | None) -> None:
        self._opened.discard(self)
        super().connection_lost(error)
