"""A client's connection as a query processor sees it: blocking, in plaintext, with or without TLS."""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import Protocol

from dsql.session.handed import TlsState
from dsql.tls.record import RecordLayer

_RECEIVE_BYTES = 65_536


class Connection(Protocol):
    """What a session talks through."""

    def receive(self) -> bytes:
        """Wait for bytes from the client and return them, b"" once it has closed.

        Raises TimeoutError after `set_receive_timeout`'s time, ConnectionError if the connection broke.
        """
        ...

    def send(self, data: bytes | bytearray) -> None:
        """Send all of `data`."""
        ...

    def set_receive_timeout(self, seconds: float) -> None:
        """Let `receive` give up after so long; 0: never."""
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
        self.send = client.sendall

    def receive(self) -> bytes:
        """Wait for bytes; see `Connection`."""
        try:
            return self._recv(_RECEIVE_BYTES)
        except BlockingIOError:
            raise TimeoutError from None

    def set_receive_timeout(self, seconds: float) -> None:
        """See `Connection`."""
        set_receive_timeout(self._socket, seconds)

    def close(self) -> None:
        """See `Connection`."""
        self._socket.close()

    def detach(self) -> tuple[socket.socket, None]:
        """See `Connection`."""
        return self._socket, None


class TlsConnection:
    """A connection that goes on with the TLS session the relay has set up."""

    def __init__(self, client: socket.socket, state: TlsState) -> None:
        self._socket = _prepared(client)
        self._recv = client.recv
        self._sendall = client.sendall
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
                    self._send_output()
            if plaintext:
                return plaintext
        return b""

    def send(self, data: bytes | bytearray) -> None:
        """Send all of `data`."""
        self._sendall(self._seal(data))

    def set_receive_timeout(self, seconds: float) -> None:
        """See `Connection`."""
        set_receive_timeout(self._socket, seconds)

    def close(self) -> None:
        """Send close_notify, if the client still listens, and close the socket."""
        with contextlib.suppress(OSError):
            self._socket.settimeout(0)  # a goodbye is not worth waiting for
            self._socket.send(self._records.seal_close())
        self._socket.close()

    def detach(self) -> tuple[socket.socket, TlsState]:
        """See `Connection`."""
        return self._socket, self._records.state()

    def _send_output(self) -> None:
        with contextlib.suppress(OSError):
            self._sendall(self._records.take_output())


def open_connection(client: socket.socket, tls: TlsState | None) -> Connection:
    """Return the connection over a socket that the relay handed on."""
    return PlainConnection(client) if tls is None else TlsConnection(client, tls)


def _prepared(client: socket.socket) -> socket.socket:
    client.setblocking(True)
    if client.family in (socket.AF_INET, socket.AF_INET6):
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def set_receive_timeout(client: socket.socket, seconds: float) -> None:
    """Let blocking receives fail with BlockingIOError after so long; 0: never.

    This is the kernel's own timeout: Python's would cost a poll before every receive.
    """
    whole = int(seconds)
    packed = struct.pack("ll", whole, int((seconds - whole) * 1_000_000))
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, packed)
