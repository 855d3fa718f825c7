"""The calling side: a blocking connection for processes without an event loop, and async connecting."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from dsql.rpc.framing import FRAME_BYTES_MAX, FrameDecoder, frame
from dsql.rpc.messages import StatusReply, StatusRequest, decode_status, encode
from dsql.rpc.server import FramedConnection

_READ_BYTES = 256 * 1024
_TIMEVAL = struct.Struct("ll")

Connected = TypeVar("Connected", bound=FramedConnection)


class BlockingConnection:
    """Frames over a blocking socket, which it owns. Every wait ends at a deadline.

    Timeouts are the kernel's: Python's own would cost a poll with each system call.
    """

    def __init__(self, connected: socket.socket, *, cap: int = FRAME_BYTES_MAX) -> None:
        self._socket = connected
        self._decoder = FrameDecoder(cap)
        self._received: deque[bytes] = deque()
        self._timeouts = {socket.SO_RCVTIMEO: 0.0, socket.SO_SNDTIMEO: 0.0}
        connected.setblocking(True)

    def send(self, body: bytes, timeout_seconds: float) -> None:
        """Send one frame. Raises OSError, TimeoutError after so long without progress: a part is left."""
        self._set_timeout(socket.SO_SNDTIMEO, timeout_seconds)
        try:
            self._socket.sendall(frame(body))
        except BlockingIOError:
            raise TimeoutError("the peer does not read") from None

    def receive(self, timeout_seconds: float) -> bytes:
        """Return the next frame. Raises TimeoutError, or ConnectionError at the stream's end."""
        received = self._received
        if received:
            return received.popleft()
        deadline = time.monotonic() + timeout_seconds
        while not received:
            self._set_timeout(socket.SO_RCVTIMEO, timeout_seconds)
            try:
                data = self._socket.recv(_READ_BYTES)
            except BlockingIOError:
                raise TimeoutError("no answer before the deadline") from None
            if not data:
                raise ConnectionResetError("the peer closed the connection")
            received.extend(self._decoder.feed(data))
            timeout_seconds = deadline - time.monotonic()
            if timeout_seconds <= 0 and not received:
                raise TimeoutError("no whole frame before the deadline")
        return received.popleft()

    def fileno(self) -> int:
        """Return the socket's descriptor, to be polled."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _set_timeout(self, option: int, seconds: float) -> None:
        # Equal timeouts are the rule, and each change is a system call.
        if seconds != self._timeouts[option]:
            set_timeout(self._socket, option, seconds)
            self._timeouts[option] = seconds


def set_timeout(connected: socket.socket, option: int, seconds: float) -> None:
    """Let the kernel end a blocking call; `option`: SO_RCVTIMEO or SO_SNDTIMEO."""
    microseconds = max(1_000, int(seconds * 1_000_000))  # 0 would mean to wait for ever
    packed = _TIMEVAL.pack(microseconds // 1_000_000, microseconds % 1_000_000)
    connected.setsockopt(socket.SOL_SOCKET, option, packed)


def connect_blocking(path: Path, timeout_seconds: float = 10.0) -> socket.socket:
    """Return a blocking socket connected to a Unix socket's path. Raises OSError."""
    connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connected.settimeout(timeout_seconds)
        connected.connect(str(path))
        connected.settimeout(None)
    except BaseException:
        connected.close()
        raise
    return connected


async def connect(path: Path, factory: Callable[[], Connected]) -> Connected:
    """Connect a new `factory()` to a Unix socket. Raises OSError."""
    _, connection = await asyncio.get_running_loop().create_unix_connection(factory, str(path))
    return connection


def ask_status(path: Path, timeout_seconds: float = 5.0) -> StatusReply:
    """Ask the role behind `path` for its status. Raises OSError."""
    connection = BlockingConnection(connect_blocking(path, timeout_seconds))
    try:
        connection.send(encode(StatusRequest()), timeout_seconds)
        return decode_status(connection.receive(timeout_seconds))
    finally:
        connection.close()
