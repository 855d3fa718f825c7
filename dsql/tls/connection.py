"""A client's connection as a query processor sees it: blocking, in plaintext, with or without TLS.

A client that does not read may keep a sender waiting, but never without a word: `on_stall` is called again
and again meanwhile, and may raise. What has not gone out by then stays first in line, so that whatever is
said next does not follow half a record.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
from collections.abc import Callable
from typing import Protocol

from dsql.session.handed import TlsState
from dsql.tls.record import RecordLayer

_RECEIVE_BYTES = 65_536
_STALL_SECONDS = 0.02
_GONE = select.POLLRDHUP | select.POLLHUP | select.POLLERR


class Connection(Protocol):
    """What a session talks through."""

    def receive(self) -> bytes:
        """Wait for bytes from the client and return them, b"" once it has closed.

        Raises TimeoutError after `set_receive_timeout`'s time, ConnectionError if the connection broke.
        """
        ...

    on_stall: Callable[[], None]

    def send(self, data: bytes | bytearray) -> None:
        """Send all of `data`, or raise what `on_stall` raises and keep the rest."""
        ...

    def set_receive_timeout(self, seconds: float) -> float:
        """Let `receive` give up after so long (0: never) and return what it was before."""
        ...

    def is_gone(self) -> bool:
        """Return whether the client has closed its end or lost it, whatever it has sent before."""
        ...

    def end_input(self) -> None:
        """Have `receive`, now or next, find the end of the stream."""
        ...

    def close(self) -> None:
        """Say goodbye as far as that is possible and close the socket."""
        ...

    def detach(self) -> tuple[socket.socket, TlsState | None]:
        """Give the socket away, with what the next owner needs to go on. The connection is over here."""
        ...


class PlainConnection:
    """A connection whose bytes are the protocol's."""

    def __init__(self, client: socket.socket) -> None:
        self._socket = _prepared(client)
        self._recv = client.recv
        self._send = client.send
        self._unsent = memoryview(b"")
        self._receive_timeout = 0.0
        self.on_stall: Callable[[], None] = lambda: None

    def receive(self) -> bytes:
        """Wait for bytes; see `Connection`."""
        try:
            return self._recv(_RECEIVE_BYTES)
        except BlockingIOError:
            raise TimeoutError from None

    def send(self, data: bytes | bytearray) -> None:
        """See `Connection`."""
        self._deliver(data)

    def _deliver(self, data: bytes | bytearray) -> None:
        if self._unsent:
            self._deliver_slowly(bytes(self._unsent) + data)
            return
        try:
            sent = self._send(data)
        except BlockingIOError:
            sent = 0
        if sent != len(data):
            self._deliver_slowly(bytes(data[sent:]))

    def _deliver_slowly(self, data: bytes) -> None:
        self._unsent = memoryview(data)
        while self._unsent:
            self.on_stall()
            with contextlib.suppress(BlockingIOError):
                self._unsent = self._unsent[self._send(self._unsent) :]

    def set_receive_timeout(self, seconds: float) -> float:
        """See `Connection`."""
        before, self._receive_timeout = self._receive_timeout, seconds
        if seconds != before:
            set_receive_timeout(self._socket, seconds)
        return before

    def is_gone(self) -> bool:
        """See `Connection`."""
        look = select.poll()
        look.register(self._socket, select.POLLRDHUP)
        return any(events & _GONE for _, events in look.poll(0))

    def end_input(self) -> None:
        """See `Connection`."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RD)

    def close(self) -> None:
        """See `Connection`."""
        self._socket.close()

    def detach(self) -> tuple[socket.socket, TlsState | None]:
        """See `Connection`."""
        assert not self._unsent, "a connection changes hands between two records"
        return self._socket, None


class TlsConnection(PlainConnection):
    """A connection that goes on with the TLS session the relay has set up."""

    def __init__(self, client: socket.socket, state: TlsState) -> None:
        super().__init__(client)
        self._records = RecordLayer(state)
        self._seal = self._records.seal
        self._unread = self._records.unread

    def receive(self) -> bytes:
        """Wait for bytes; see `Connection`."""
        records = self._records
        while not records.closed:
            if self._unread:
                self._unread, data = False, b""
            else:
                try:
                    data = self._recv(_RECEIVE_BYTES)
                except BlockingIOError:
                    raise TimeoutError from None
                if not data:
                    return b""
            try:
                plaintext = records.open(data)
            finally:
                if records.output:
                    with contextlib.suppress(OSError):
                        self._deliver(records.take_output())
            if plaintext:
                return plaintext
        return b""

    def send(self, data: bytes | bytearray) -> None:
        """See `Connection`."""
        self._deliver(self._seal(data))

    def close(self) -> None:
        """Send close_notify, if the client still listens, and close the socket."""
        if not self._unsent:
            with contextlib.suppress(OSError):
                self._socket.settimeout(0)  # a goodbye is not worth waiting for
                self._socket.send(self._records.seal_close())
        self._socket.close()

    def detach(self) -> tuple[socket.socket, TlsState]:
        """See `Connection`."""
        socket_, _ = super().detach()
        return socket_, self._records.state()


def open_connection(client: socket.socket, tls: TlsState | None) -> Connection:
    """Return the connection over a socket that the relay handed on."""
    return PlainConnection(client) if tls is None else TlsConnection(client, tls)


def _prepared(client: socket.socket) -> socket.socket:
    client.setblocking(True)
    _set_timeout(client, socket.SO_SNDTIMEO, _STALL_SECONDS)
    if client.family in (socket.AF_INET, socket.AF_INET6):
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def set_receive_timeout(client: socket.socket, seconds: float) -> None:
    """Let blocking receives fail with BlockingIOError after so long; 0: never.

    This is the kernel's own timeout: Python's would cost a poll before every receive.
    """
    _set_timeout(client, socket.SO_RCVTIMEO, seconds)


def _set_timeout(client: socket.socket, option: int, seconds: float) -> None:
    whole = int(seconds)
    packed = struct.pack("ll", whole, int((seconds - whole) * 1_000_000))
    client.setsockopt(socket.SOL_SOCKET, option, packed)
