"""Messages with descriptors between processes of one host: one packet each way, never half of one.

A Unix socket of type SOCK_SEQPACKET keeps message boundaries and carries descriptors (SCM_RIGHTS) with
exactly the message they were sent with, so there is no framing and no state between two packets.
`send` and `receive` block, for query processors and the seed; `PacketChannel` serves an event loop.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import os
import socket
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path

from dsql.rpc.accepting import Acceptor

PACKET_BYTES_MAX = 128 * 1024  # well below the kernel's default socket buffer of 208 KiB
DESCRIPTORS_MAX = 8
OUTBOX_PACKETS_MAX = 4_096  # behind what the socket holds
_CUT_SHORT = int(socket.MSG_TRUNC | socket.MSG_CTRUNC)
_CLOSE_ON_EXEC = int(
    socket.MSG_CMSG_CLOEXEC
)  # as a number: an operation on flags is a call in Python
_ANCILLARY_BYTES = socket.CMSG_SPACE(DESCRIPTORS_MAX * array.array("i").itemsize)


def send(connection: socket.socket, packet: bytes, descriptors: Iterable[int] = ()) -> None:
    """Send one packet; the caller keeps (and closes) its own descriptors.

    Raises ValueError above PACKET_BYTES_MAX, BlockingIOError on a full non-blocking socket.
    """
    if len(packet) > PACKET_BYTES_MAX:
        raise ValueError(f"a packet of {len(packet)} bytes is too large")
    rights = array.array("i", descriptors)
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)] if rights else []
    connection.sendmsg([packet], ancillary, socket.MSG_NOSIGNAL)


def receive(connection: socket.socket, flags: int = 0) -> tuple[bytes, list[int]]:
    """Return the next packet and the descriptors with it, now owned by the caller.

    `flags`: more of recvmsg's. Returns (b"", []) when the other side has closed. Raises ConnectionError
    for a packet cut short.
    """
    packet, ancillary, happened, _ = connection.recvmsg(
        PACKET_BYTES_MAX, _ANCILLARY_BYTES, _CLOSE_ON_EXEC | flags
    )
    descriptors = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
    if happened & _CUT_SHORT:
        close_all(descriptors)
        raise ConnectionError("a packet was cut short")
    return packet, descriptors.tolist()


def close_all(descriptors: Iterable[int]) -> None:
    """Close every descriptor, the already closed ones too."""
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            os.close(descriptor)


def pair() -> tuple[socket.socket, socket.socket]:
    """Return two connected packet sockets."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def connect(path: Path) -> socket.socket:
    """Return a blocking packet socket connected to the listener at `path`."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        connection.connect(str(path))
    except OSError:
        connection.close()
        raise
    return connection


def listen(path: Path) -> socket.socket:
    """Return a packet socket listening at `path`, which only the own user may connect to."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    mask = os.umask(0o177)
    try:
        listener.bind(str(path))
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(mask)
    listener.listen(1024)
    return listener


Received = Callable[[bytes, list[int]], None]


class PacketChannel:
    """A packet socket on the running event loop.

    `received(packet, descriptors)` owns the descriptors. `closed()` is called once, for whatever reason
    the channel ended, `close` included.
    """

    def __init__(
        self, connection: socket.socket, received: Received, closed: Callable[[], None]
    ) -> None:
        connection.setblocking(False)
        self._connection = connection
        self._received = received
        self._closed = closed
        self._outbox: deque[tuple[bytes, list[int]]] = deque()
        self._loop = asyncio.get_running_loop()
        self._open = True
        self._loop.add_reader(connection, self._on_readable)

    def send(self, packet: bytes, descriptors: Iterable[int] = ()) -> None:
        """Send now, or as soon as the socket takes it. Raises ConnectionError once closed.

        A channel whose other end has long not read is closed.
        """
        if not self._open:
            raise ConnectionError("the channel is closed")
        if len(self._outbox) >= OUTBOX_PACKETS_MAX:
            self.close()
            raise ConnectionError("nobody reads at the other end")
        if not self._outbox:
            try:
                send(self._connection, packet, descriptors)
            except BlockingIOError:
                self._loop.add_writer(self._connection, self._on_writable)
            except OSError as error:
                self.close()
                raise ConnectionError(str(error)) from error
            else:
                return
        self._outbox.append((packet, [os.dup(descriptor) for descriptor in descriptors]))

    def close(self) -> None:
        """Close the socket; what is still unsent is dropped."""
        if not self._open:
            return
        self._open = False
        self._loop.remove_reader(self._connection)
        self._loop.remove_writer(self._connection)
        self._connection.close()
        for _, descriptors in self._outbox:
            close_all(descriptors)
        self._outbox.clear()
        self._closed()

    def finish(self) -> None:
        """Pass on what has arrived by now, and close."""
        while self._open and self._on_readable():
            pass
        self.close()

    def _on_readable(self) -> bool:
        """Take in one packet, or the end; return whether there was anything."""
        try:
            packet, descriptors = receive(self._connection)
        except BlockingIOError:
            return False
        except OSError:
            packet, descriptors = b"", []
        if packet:
            self._received(packet, descriptors)
        else:
            close_all(descriptors)
            self.close()
        return True

    def _on_writable(self) -> None:
        while self._outbox:
            packet, descriptors = self._outbox[0]
            try:
                send(self._connection, packet, descriptors)
            except BlockingIOError:
                return
            except OSError:
                self.close()
                return
            close_all(descriptors)
            self._outbox.popleft()
        self._loop.remove_writer(self._connection)


class PacketServer:
    """Accepts packet connections at a path; `accepted(connection)` owns each one."""

    def __init__(self, path: Path, accepted: Callable[[socket.socket], None]) -> None:
        self._path = path
        self._acceptor = Acceptor(listen(path), accepted)

    def close(self) -> None:
        """Stop accepting and remove the socket's path."""
        self._acceptor.close()
        self._path.unlink(missing_ok=True)
