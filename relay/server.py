"""The relay as a server: one listening port for all clusters.

It holds no state that matters: any number of relays may listen side by side (`reuse_port`), and one that
ends takes only logins in progress and spliced TLS 1.2 sessions with it, because every other session has
left it. On cancellation it stops accepting, lets logins in progress finish, and closes.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import socket
from collections.abc import Callable

from dsql.control.atomic_file import write_atomically
from dsql.control.layout import Layout
from relay.front_door import FrontDoor, Settings
from relay.scrape import Instruments, Scrape
from relay.session import RelaySession

_log = logging.getLogger(__name__)

DEFAULT_PORT = 5432
DEFAULT_SETTINGS = Settings()
HOUSEKEEPING_SECONDS = 10.0
_BACKLOG = 4096
_DRAIN_POLL_SECONDS = 0.05
# A session outlives the relay on the same socket, which inherits these from the listener: a host that has
# gone without a word is noticed within a minute. There is no TCP_USER_TIMEOUT: it would also end those that
# answer, but do not read for so long, and replace the count of probes.
_KEEPALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
)


class RelayServer:
    """A relay that is listening. `addresses` are (host, port) pairs as bound."""

    def __init__(
        self, door: FrontDoor, server: asyncio.Server, scrapes: asyncio.Server | None
    ) -> None:
        self.door = door
        self._server = server
        self._scrapes = scrapes
        self._housekeeper = door.spawn(_housekeep(door))

    @classmethod
    async def start(
        cls,
        layout: Layout,
        host: str,
        port: int,
        settings: Settings = DEFAULT_SETTINGS,
    ) -> RelayServer:
        """Listen on `host` ("" for all addresses); port 0 takes a free one. Raises OSError."""
        door = FrontDoor(layout, settings)
        server = await asyncio.get_running_loop().create_server(
            lambda: RelaySession(door),
            host or None,
            port,
            backlog=_BACKLOG,
            reuse_port=settings.reuse_port,
        )
        for listener in server.sockets:
            for level, option, value in _KEEPALIVE:
                listener.setsockopt(level, option, value)
        return cls(door, server, await _serve_metrics(layout, door))

    @property
    def metrics_address(self) -> tuple[str, int] | None:
        """Where the counters are, None if nowhere."""
        return self._scrapes.sockets[0].getsockname()[:2] if self._scrapes is not None else None

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where it listens."""
        return [listener.getsockname()[:2] for listener in self._server.sockets]

    async def close(self) -> None:
        """Stop accepting, wait for logins in progress as long as the settings say, and close."""
        for server in filter(None, (self._server, self._scrapes)):
            server.close()
        deadline = asyncio.get_running_loop().time() + self.door.settings.drain_seconds
        while self._busy and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(_DRAIN_POLL_SECONDS)
        self._housekeeper.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._housekeeper
        await self.door.close()

    @property
    def _busy(self) -> bool:
        return bool(self.door.metrics.open_logins or len(self.door.splices))


async def serve(
    layout: Layout,
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    *,
    az: str = "",
    settings: Settings = DEFAULT_SETTINGS,
    on_ready: Callable[[], None],
) -> None:
    """Run a relay in the zone `az` until cancelled.

    The data directory must hold the relay's certificate (`ensure_certificates`). Raises OSError if the
    port is taken.
    """
    relay = await RelayServer.start(layout, host, port, dataclasses.replace(settings, az=az))
    _publish_address(layout, *relay.addresses[0])
    _log.info("relay listens on %s", relay.addresses)
    on_ready()
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        await asyncio.shield(relay.close())


async def _serve_metrics(layout: Layout, door: FrontDoor) -> asyncio.Server | None:
    if door.settings.metrics_at is None:
        return None
    loop = asyncio.get_running_loop()
    instruments = Instruments(layout, door.metrics)
    return await loop.create_server(lambda: Scrape(instruments), *door.settings.metrics_at)


def _publish_address(layout: Layout, host: str, port: int) -> None:
    layout.relay_address.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(layout.relay_address, f"{host}:{port}\n".encode())


async def _housekeep(door: FrontDoor) -> None:
    while True:
        await asyncio.sleep(HOUSEKEEPING_SECONDS)
        try:
            door.housekeep()
        except Exception:
            _log.exception("housekeeping failed")
