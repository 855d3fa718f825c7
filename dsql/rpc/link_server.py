"""The port at which a host is called by the installation's other hosts.

    a TLS handshake   the caller shows a certificate, and is a `LinkChannel` to the role that it asks for
    "T" + a ticket    the connection itself is given to whom the ticket was issued for

Who has shown neither is a stranger, and has one of STRANGERS_MAX places for STRANGER_SECONDS at most; the
oldest gives way. A ticket is issued on a link, is good once and not for long; what flows on the connection
afterwards is protected by the TLS of the client whose session it carries.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable

from dsql.rpc.accepting import Acceptor
from dsql.rpc.link import TICKET_BYTES, TICKET_MARK, LinkChannel, LinkFiles, shown
from dsql.rpc.tcp import keep_alive

logger = logging.getLogger(__name__)

STRANGERS_MAX = 256
STRANGER_SECONDS = 5.0
_TLS_HANDSHAKE = b"\x16"
_BACKLOG = 1024

Accepted = Callable[[LinkChannel], None]
# Given a ticket and a connection, which whoever knows the ticket owns; False: nobody does.
Redeem = Callable[[bytes, socket.socket], bool]


class LinkServer:
    """Listens at `address` = (IP address, port), for the roles that `serve`. Raises OSError.

    `name` is where others find it, as HOST:PORT.
    """

    def __init__(self, address: tuple[str, int], files: LinkFiles) -> None:
        self._files = files
        self._services: dict[str, Accepted] = {}
        self._redeem: Redeem = lambda *_: False
        self._strangers: dict[_Stranger, None] = {}  # in the order of their coming
        self._context: ssl.SSLContext | None = None
        self._version: tuple[int, int] | None = None
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        listener = socket.create_server(address, family=family, backlog=_BACKLOG)
        self.name = shown(listener.getsockname()[:2])
        keep_alive(listener)
        self._acceptor = Acceptor(listener, self._accept)

    def serve(self, service: str, accepted: Accepted, redeem: Redeem | None = None) -> None:
        """Give callers of a role to `accepted`; and tickets, if the role has issued any, to `redeem`."""
        self._services[service] = accepted
        self._redeem = redeem or self._redeem
        self._version = None

    def close(self) -> None:
        """Listen no more. Links that there are belong to their roles."""
        self._acceptor.close()
        for stranger in list(self._strangers):
            stranger.leave()

    def _accept(self, connection: socket.socket) -> None:
        if len(self._strangers) >= STRANGERS_MAX:
            next(iter(self._strangers)).leave()
        connection.setblocking(False)
        stranger = _Stranger(connection, self, lambda: self._strangers.pop(stranger, None))
        self._strangers[stranger] = None

    def context(self) -> ssl.SSLContext:
        """Return the context for the certificate that is there now. Raises OSError."""
        status = self._files.certificate.stat()
        version = status.st_ino, status.st_mtime_ns
        if self._context is None or version != self._version:
            self._context = self._files.server_context(self._services)
            self._version = version
        return self._context

    def welcome(self, channel: LinkChannel) -> None:
        """Give an authenticated caller to the role that it asks for."""
        accepted = self._services.get(channel.service)
        if accepted is None:
            channel.close()
        else:
            accepted(channel)

    def redeem(self, ticket: bytes, connection: socket.socket) -> None:
        """Give a connection to whom its ticket is for."""
        if not self._redeem(ticket, connection):
            connection.close()


class _Stranger:
    """A connection that has not said who it is. `left()` is called once, when it has or is closed."""

    def __init__(
        self, connection: socket.socket, server: LinkServer, left: Callable[[], object]
    ) -> None:
        self._connection = connection
        self._server = server
        self._left = left
        self._said = b""
        self._loop = asyncio.get_running_loop()
        self._handshake: asyncio.Task[None] | None = None
        self._deadline = self._loop.call_later(STRANGER_SECONDS, self.leave)
        self._loop.add_reader(connection, self._hear)

    def leave(self) -> None:
        """Close the connection."""
        if self._handshake is not None:
            self._handshake.cancel()
        else:
            self._loop.remove_reader(self._connection)
            self._connection.close()
        self._end()

    def _end(self) -> None:
        self._deadline.cancel()
        self._left()

    def _hear(self) -> None:
        try:
            if not self._said and self._connection.recv(1, socket.MSG_PEEK) == _TLS_HANDSHAKE:
                self._loop.remove_reader(self._connection)
                self._handshake = self._loop.create_task(self._shake_hands())
                return
            wanted = len(TICKET_MARK) + TICKET_BYTES - len(self._said)
            heard = self._connection.recv(wanted)  # not a byte more: the rest is not for us
        except BlockingIOError:
            return
        except OSError:
            heard = b""
        self._said += heard
        if not heard or not self._said.startswith(TICKET_MARK):
            self.leave()
        elif len(heard) == wanted:
            self._loop.remove_reader(self._connection)
            self._end()
            self._server.redeem(self._said.removeprefix(TICKET_MARK), self._connection)

    async def _shake_hands(self) -> None:
        try:
            await self._loop.connect_accepted_socket(
                lambda: LinkChannel(self._server.welcome),
                self._connection,
                ssl=self._server.context(),
                ssl_handshake_timeout=STRANGER_SECONDS,
            )
        except OSError as error:
            logger.warning("link refused", extra={"reason": str(error)})
            self._connection.close()
        finally:
            self._end()
