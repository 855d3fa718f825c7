"""Framed connections on an event loop, for both ends, and the listening side.

A connection hands each whole frame to `frame_received` in the read callback itself: there is no
stream reader, no queue and no task between the socket and the message.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import cast

from dsql.rpc.accepting import close_server
from dsql.rpc.framing import FRAME_BYTES_MAX, FrameDecoder, FrameError, frame

log = logging.getLogger(__name__)

_UCRED = struct.Struct("3i")  # struct ucred: pid, uid, gid


class ProtocolError(Exception):
    """The peer sent something that no correct peer sends; its connection is closed."""


def _credentials(connected: socket.socket) -> tuple[int, int]:
    raw = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    process_id, uid, _ = _UCRED.unpack(raw)
    return process_id, uid


def peer_uid(connected: socket.socket) -> int:
    """Return the user id of the process at the other end of a Unix socket."""
    return _credentials(connected)[1]


def peer_is_trusted(connected: socket.socket) -> bool:
    """Return True if the peer runs as our user, or as root."""
    return peer_uid(connected) in (os.geteuid(), 0)


def _is_trusted(descriptor: int) -> bool:
    with socket.fromfd(descriptor, socket.AF_UNIX, socket.SOCK_STREAM) as peer:
        trusted = peer_is_trusted(peer)
        if not trusted:
            log.warning("refused a connection of uid %d", peer_uid(peer))
        return trusted


class FramedConnection(asyncio.Protocol):
    """One connection. Subclasses override `frame_received`, and `opened` and `closed` if they care."""

    def __init__(self, *, cap: int = FRAME_BYTES_MAX) -> None:
        self._decoder = FrameDecoder(cap)
        self._transport: asyncio.Transport | None = None
        self._writable: asyncio.Future[None] | None = None
        self.listener: Listener | None = None  # whose it is, if it was accepted

    def opened(self) -> None:
        """Called once the connection stands."""

    def closed(self) -> None:
        """Called once the connection is gone, for whatever reason."""

    def frame_received(self, body: bytes) -> None:
        """Handle one frame. A ProtocolError or a decoding error closes the connection."""
        raise NotImplementedError

    @property
    def process_id(self) -> int:
        """The process that has opened this connection, 0 if it is not one of this host."""
        peer = None if self._transport is None else self._transport.get_extra_info("socket")
        if peer is None or peer.family != socket.AF_UNIX:
            return 0
        with socket.fromfd(peer.fileno(), socket.AF_UNIX, socket.SOCK_STREAM) as connected:
            return _credentials(connected)[0]

    @property
    def is_open(self) -> bool:
        """True while frames can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    def send(self, body: bytes) -> None:
        """Send one frame; silently lost if the connection is gone, as on any network."""
        if self._transport is not None:
            self._transport.write(frame(body))

    def send_at_once(self) -> None:
        """From now on give each frame to the kernel in `send` itself, not at the end of the loop's turn."""
        if self._transport is not None:
            self._transport.set_write_buffer_limits(high=0)

    async def drained(self) -> None:
        """Return when the peer has taken enough of what was sent."""
        if self._writable is not None:
            await self._writable

    def close(self) -> None:
        """Close after what was sent has gone out."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once; what was not sent is dropped."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Check who calls, then tell the subclass."""
        stream = cast("asyncio.Transport", transport)  # uvloop's does not derive from it
        peer = transport.get_extra_info("socket")
        if peer is not None and peer.family == socket.AF_UNIX and not _is_trusted(peer.fileno()):
            stream.abort()
            return
        if self.listener is not None and not self.listener.admits(self):
            stream.abort()
            return
        self._transport = stream
        self.opened()

    def data_received(self, data: bytes) -> None:
        """Hand over every frame that `data` completes."""
        if self._transport is None:
            return
        try:
            for body in self._decoder.feed(data):
                self.frame_received(body)
        except (FrameError, ProtocolError, ValueError, RecursionError) as error:
            # msgspec's decoding errors are ValueErrors, but for what is nested too deeply.
            log.warning("closed a connection: %s", error)
            self._transport.abort()

    def connection_lost(self, _error: Exception | None) -> None:
        """Tell the subclass, unless the peer was refused."""
        if self._writable is not None:
            self._writable.set_result(None)
            self._writable = None
        if self._transport is not None:
            self._transport = None
            if self.listener is not None:
                self.listener.accepted.discard(self)
            self.closed()

    def pause_writing(self) -> None:
        """Make `drained` wait."""
        self._writable = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        """Let `drained` return."""
        if self._writable is not None:
            self._writable.set_result(None)
            self._writable = None


class Listener:
    """A listening Unix socket and the open connections that were accepted on it, `accepted`."""

    def __init__(self, factory: Callable[[], FramedConnection]) -> None:
        self._factory = factory
        self.accepted: set[FramedConnection] = set()
        self._server: asyncio.AbstractServer | None = None
        self._closed = False

    async def listen(self, path: Path) -> None:
        """Listen at `path` (mode 0600), replacing what a dead predecessor left there."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listening.bind(str(path))
            path.chmod(0o600)
            self._server = await asyncio.get_running_loop().create_unix_server(
                self._make, sock=listening, backlog=1024
            )
        except BaseException:
            listening.close()
            raise

    def close(self) -> None:
        """Stop listening and close every connection."""
        self._closed = True
        if self._server is not None:
            close_server(self._server)
        for connection in list(self.accepted):
            connection.close()

    def admits(self, connection: FramedConnection) -> bool:
        """Take note of a connection; False for one that was on its way when the listener was closed."""
        if not self._closed:
            self.accepted.add(connection)
        return not self._closed

    def _make(self) -> FramedConnection:
        connection = self._factory()
        connection.listener = self
        return connection


async def listen(path: Path, factory: Callable[[], FramedConnection]) -> Listener:
    """Return a Listener at `path` whose connections are made by `factory`."""
    listener = Listener(factory)
    await listener.listen(path)
    return listener
