"""A client's connection as a query processor sees it: blocking, in plaintext, with or without TLS.

Whoever waits for the client gives way to others (`dsql.hub`), unless there are none: then it blocks in
`recv` for a moment, which is the shortest way there is.

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
from typing import NoReturn, Protocol

from dsql.hub.waiter import BRIEF_SECONDS, NEVER, Blocking, Source, Waiter
from dsql.session.handed import TlsState
from dsql.tls.record import RecordLayer

_RECEIVE_BYTES = 65_536
_STALL_SECONDS = 0.02
_AT_ONCE_SECONDS = 0.000_001  # 0 would mean for ever
_GONE = select.POLLRDHUP | select.POLLHUP | select.POLLERR


class Connection(Protocol):
    """What a session talks through."""

    deadline: float  # in seconds of the waiter's clock: when `receive` gives up

    on_stall: Callable[[], None]

    @property
    def stalled(self) -> bool:
        """Whether something waits to be sent until the client reads."""
        ...

    def receive(self) -> bytes:
        """Wait for bytes from the client and return them, b"" once it has closed.

        Raises TimeoutError at `deadline`, and whenever the waiting task was woken for another reason;
        ConnectionError if the connection broke.
        """
        ...

    def send(self, data: bytes | bytearray) -> None:
        """Send all of `data`, or raise what `on_stall` raises and keep the rest."""
        ...

    def hurry(self) -> None:
        """Let a `receive` that blocks end at once, with TimeoutError. For signal handlers."""
        ...

    def step_back(self) -> None:
        """Let a `receive` that waits, or the next one that has to, end once with TimeoutError.

        Who waits is to be woken as well. For signal handlers.
        """
        ...

    def never_block(self) -> None:
        """Let `receive` obey a deadline of less than `BRIEF_SECONDS` where it is alone, too."""
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

    @property
    def may_move(self) -> bool:
        """Whether another owner could go on from here."""
        ...

    def tls_state(self) -> TlsState | None:
        """Return what another owner needs beside the socket."""
        ...

    def detach(self) -> None:
        """Leave the socket to another owner, and never touch it again."""
        ...


class PlainConnection:
    """A connection whose bytes are the protocol's."""

    def __init__(self, client: socket.socket, waiter: Waiter) -> None:
        self._socket = _prepared(client)
        self._waiter = waiter
        self._recv = client.recv
        self._send = client.send
        self._source: Source | None = None
        self._hurried = False
        self._stepping_back = False
        self._unsent = memoryview(b"")
        self._take = self._take_briefly
        self.deadline = NEVER
        self.on_stall: Callable[[], None] = _do_nothing

    def receive(self) -> bytes:
        """Wait for bytes; see `Connection`."""
        return self._take()

    def _take_briefly(self) -> bytes:
        """Wait for bytes in `recv` for a moment where nobody else waits for anything."""
        if self._waiter.alone:
            try:
                return self._recv(_RECEIVE_BYTES)
            except BlockingIOError:
                pass
        return self._take_in_turn()

    def _take_in_turn(self) -> bytes:
        """Wait for bytes while others have their turns."""
        source = self._source or self._watched()
        if self._hurried:
            self._hurried = False
            _set_timeout(self._socket, socket.SO_RCVTIMEO, BRIEF_SECONDS)
        while True:
            if source.readable or source.gone:
                try:
                    data = self._recv(_RECEIVE_BYTES, socket.MSG_DONTWAIT)
                except BlockingIOError:
                    source.readable = source.gone = False
                else:
                    # Less than asked for was all there was: what comes now is told of.
                    source.readable = len(data) == _RECEIVE_BYTES
                    return data
            has_input = self._waiter.await_input(source, self.deadline)
            if self._stepping_back or not has_input:
                self._stepping_back = False
                raise TimeoutError

    def _watched(self) -> Source:
        """Return the socket's state, watched from the first wait on."""
        source = self._source
        if source is None:
            self._source = source = self._waiter.watch(self._socket.fileno())
        return source

    def send(self, data: bytes | bytearray) -> None:
        """See `Connection`."""
        self._deliver(data)

    def _deliver(self, data: bytes | bytearray) -> None:
        if self._unsent:
            self._deliver_slowly(bytes(self._unsent) + data)
            return
        try:
            sent = self._send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            sent = 0
        if sent != len(data):
            self._deliver_slowly(bytes(data[sent:]))

    def _deliver_slowly(self, data: bytes) -> None:
        self._unsent = memoryview(data)
        waiter, source = self._waiter, self._watched()
        while self._unsent:
            self.on_stall()
            waiter.await_room(source, waiter.monotonic() + _STALL_SECONDS)
            with contextlib.suppress(BlockingIOError):
                self._unsent = self._unsent[self._send(self._unsent, socket.MSG_DONTWAIT) :]

    def hurry(self) -> None:
        """See `Connection`."""
        self._hurried = True
        with contextlib.suppress(OSError):  # it may have been closed
            _set_timeout(self._socket, socket.SO_RCVTIMEO, _AT_ONCE_SECONDS)

    @property
    def stalled(self) -> bool:
        """See `Connection`."""
        return bool(self._unsent)

    def step_back(self) -> None:
        """See `Connection`."""
        self._stepping_back = True
        if self._waiter.alone:
            self.hurry()

    def never_block(self) -> None:
        """See `Connection`."""
        self._take = self._take_in_turn

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
        self._let_go()
        self._socket.close()

    @property
    def may_move(self) -> bool:
        """See `Connection`."""
        return not self._unsent

    def tls_state(self) -> TlsState | None:
        """See `Connection`."""
        return None

    def detach(self) -> None:
        """See `Connection`."""
        assert self.may_move, "a connection changes hands between two messages"
        self._let_go()

    def _let_go(self) -> None:
        """Touch the socket no more, nor know who knows this connection: a cycle is collected late."""
        self._send = self._recv = self._take = _keep_away
        self.on_stall = _do_nothing
        if self._source is not None:
            self._waiter.forget(self._source)
            self._source = None


class TlsConnection(PlainConnection):
    """A connection that goes on with the TLS session the relay has set up."""

    def __init__(self, client: socket.socket, state: TlsState, waiter: Waiter) -> None:
        super().__init__(client, waiter)
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
                data = self._take()
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
                # A goodbye is not worth waiting for.
                self._send(self._records.seal_close(), socket.MSG_DONTWAIT)
        super().close()

    @property
    def may_move(self) -> bool:
        """See `Connection`."""
        return super().may_move and self._records.may_move

    def tls_state(self) -> TlsState:
        """See `Connection`."""
        return self._records.state()


def open_connection(
    client: socket.socket, tls: TlsState | None, waiter: Waiter | None = None
) -> Connection:
    """Return the connection over a socket that the relay handed on."""
    waiter = waiter or Blocking()
    return PlainConnection(client, waiter) if tls is None else TlsConnection(client, tls, waiter)


def _do_nothing() -> None:
    """Let the client take its time: nobody has said otherwise."""


def _keep_away(*_: object) -> NoReturn:
    """Neither send nor receive: what the next owner sends has the same TLS record numbers."""
    raise ConnectionError("the connection has another owner")


def _prepared(client: socket.socket) -> socket.socket:
    client.setblocking(True)
    # The kernel's own timeout: Python's would cost a poll before every receive.
    _set_timeout(client, socket.SO_RCVTIMEO, BRIEF_SECONDS)
    if client.family in (socket.AF_INET, socket.AF_INET6):
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def _set_timeout(client: socket.socket, option: int, seconds: float) -> None:
    whole = int(seconds)
    packed = struct.pack("ll", whole, int((seconds - whole) * 1_000_000))
    client.setsockopt(socket.SOL_SOCKET, option, packed)
