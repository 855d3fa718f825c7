"""uvicorn's HTTP/1.1 under bounds, without its server: a listening socket, and nothing that ticks.

A connection on which nobody is about to be answered is closed after some seconds, whether it has said a
part of a request or nothing. Where there are too many, the one that has been so for the longest gives way.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from typing import Any

import h11
from starlette.applications import Starlette
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from dsql.rpc.accepting import close_server

CONNECTIONS_MAX = 256
REQUEST_SECONDS = 15.0  # for a request to come, from the first byte to the last of its headers
HANDSHAKE_SECONDS = 10.0
HEAD_BYTES_MAX = 32 * 1024
MESSAGE_BYTES_MAX = 1024 * 1024  # of a WebSocket
_BACKLOG = 256


class HttpServer:
    """The connections of one application."""

    def __init__(self, app: Starlette) -> None:
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # strangers can make it talk
        self.config = Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="wsproto",
            ws_max_size=MESSAGE_BYTES_MAX,
            ws_per_message_deflate=False,
            interface="asgi3",
            proxy_headers=False,
            server_header=False,
            h11_max_incomplete_event_size=HEAD_BYTES_MAX,
        )
        self.config.load()
        self.state = ServerState()
        self._open: dict[_Connection, None] = {}  # the oldest first
        self._server: asyncio.Server | None = None

    async def listen(self, host: str, port: int, context: ssl.SSLContext | None) -> int:
        """Accept connections at an address, port 0: any free one; return the port. Raises OSError."""
        self._server = await asyncio.get_running_loop().create_server(
            lambda: _Connection(self),
            host,
            port,
            ssl=context,
            backlog=_BACKLOG,
            ssl_handshake_timeout=None if context is None else HANDSHAKE_SECONDS,
        )
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Take no more requests, and finish those that are being answered."""
        if self._server is not None:
            close_server(self._server)
        for connection in list(self.state.connections):
            connection.shutdown()
        if self.state.tasks:
            await asyncio.wait(list(self.state.tasks))

    def entered(self, connection: _Connection) -> None:
        """A connection has come."""
        self._open[connection] = None
        if len(self._open) > CONNECTIONS_MAX:
            idle = (one for one in self._open if not one.is_answering)
            next(idle, connection).transport.abort()

    def left(self, connection: _Connection) -> None:
        """It has gone."""
        self._open.pop(connection, None)


class _Connection(H11Protocol):
    """One of them."""

    def __init__(self, server: HttpServer) -> None:
        super().__init__(server.config, server.state, {})
        self._house = server
        self._deadline: asyncio.TimerHandle | None = None

    @property
    def is_answering(self) -> bool:
        """Whether a request has come, and its answer has not gone."""
        return self.cycle is not None and not self.cycle.response_complete

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._house.entered(self)
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """From here on the connection is another protocol's, and its bounds are the application's."""
        self._unwatch()
        self._house.left(self)
        super().handle_websocket_upgrade(event)

    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch()
        self._house.left(self)
        super().connection_lost(exc)

    def _unwatch(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()

    def _watch(self) -> None:
        self._unwatch()
        self._deadline = self.loop.call_later(REQUEST_SECONDS, self._look)

    def _look(self) -> None:
        """The application has bounds of its own for what it answers."""
        if self.is_answering:
            self._watch()
        else:
            self.transport.abort()
