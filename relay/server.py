"""The relay as a server: one listening port for all clusters.

Any number of relays listen side by side on one port (SO_REUSEPORT): the kernel deals new connections out
among them. A relay holds no state that matters: one that ends takes only logins in progress with it, and
the sessions that it copies (of TLS 1.2, or served on another host), because every other session has left
it. What holds for a cluster, its rate of new connections and their number, is placement's to keep; what
bounds the memory and the work of strangers (logins in progress, cancellations) each relay keeps for itself.

On cancellation it takes whoever stands before the door already, lets logins in progress and copied
sessions finish for a while, and ends; when it is told to drain, likewise.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from dsql.control.atomic_file import write_atomically
from dsql.control.layout import Layout
from dsql.rpc.accepting import close_server
from dsql.rpc.tcp import keep_alive
from relay import listener
from relay.desk import Desk
from relay.front_door import FrontDoor, Settings
from relay.scrape import Instruments, Scrape
from relay.session import RelaySession

_log = logging.getLogger(__name__)

DEFAULT_PORT = 5432
DEFAULT_SETTINGS = Settings()
HOUSEKEEPING_SECONDS = 10.0
_BACKLOG = 4096
_DRAIN_POLL_SECONDS = 0.05
# How long a listener that is to be closed waits for handshakes of TCP: a round trip of distant clients.
_HANDSHAKE_SECONDS = 0.25


class RelayServer:
    """A relay that is listening. `addresses` are (host, port) pairs as bound.

    `drained` is set once somebody has asked it to end, with the seconds it may take for that.
    """

    def __init__(
        self,
        door: FrontDoor,
        layout: Layout,
        server: asyncio.Server,
        scrapes: asyncio.Server | None,
    ) -> None:
        self.door = door
        self.drained: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._closing = False
        self._server = server
        self._scrapes = scrapes
        self._desk = Desk(layout.socket(door.settings.name), self._status, self._drain)
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
            reuse_port=True,
        )
        for listening in server.sockets:
            keep_alive(listening)  # a session outlives the relay on the same socket
        return cls(door, layout, server, await _serve_metrics(layout, door))

    @property
    def metrics_address(self) -> tuple[str, int] | None:
        """Where the counters are, None if nowhere."""
        return self._scrapes.sockets[0].getsockname()[:2] if self._scrapes is not None else None

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where it listens."""
        return [listening.getsockname()[:2] for listening in self._server.sockets]

    async def close(self, seconds: float | None = None) -> None:
        """Stop accepting, wait for what is under way for `seconds` (as the settings say), and close."""
        if self._closing:
            return
        self._closing = True
        loop = asyncio.get_running_loop()
        deadline = loop.time() + (self.door.settings.drain_seconds if seconds is None else seconds)
        await self._take_the_last()
        for server in filter(None, (self._server, self._scrapes)):
            close_server(server)
        while self._busy and loop.time() < deadline:
            await asyncio.sleep(_DRAIN_POLL_SECONDS)
        self._desk.close()
        self._housekeeper.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._housekeeper
        await self.door.close()

    async def _take_the_last(self) -> None:
        """Accept who stands before the door, and nobody who comes now: closing would reset them."""
        loop = asyncio.get_running_loop()
        for listening in self._server.sockets:
            listener.drop_newcomers(listening)
        await asyncio.sleep(_HANDSHAKE_SECONDS)
        for listening in self._server.sockets:
            while (client := listener.accept_waiting(listening)) is not None:
                await loop.connect_accepted_socket(lambda: RelaySession(self.door), client)

    @property
    def _busy(self) -> bool:
        return bool(
            self.door.metrics.open_logins or len(self.door.splices) or len(self.door.copies)
        )

    def _status(self) -> dict[str, object]:
        listen = ",".join(f"{host}:{port}" for host, port in self.addresses)
        metrics = self.door.metrics
        metrics.splices, metrics.copies = len(self.door.splices), len(self.door.copies)
        return {"listen": listen or "draining", **metrics.snapshot()}

    def _drain(self, seconds: float) -> None:
        if not self.drained.done():
            self.drained.set_result(seconds)


async def serve(
    layout: Layout,
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    *,
    settings: Settings = DEFAULT_SETTINGS,
    on_ready: Callable[[], None],
) -> None:
    """Run a relay until cancelled, or drained.

    The data directory must hold the relay's certificate (`ensure_certificates`). Raises OSError if the
    port is taken.
    """
    relay = await RelayServer.start(layout, host, port, settings)
    _publish_address(layout, *relay.addresses[0])
    _log.info("relay listens on %s", relay.addresses)
    on_ready()
    seconds = None
    try:
        seconds = await relay.drained
        _log.info("draining for %.0f s at most", seconds)
    finally:
        await asyncio.shield(relay.close(seconds))


async def _serve_metrics(layout: Layout, door: FrontDoor) -> asyncio.Server | None:
    if door.settings.metrics_at is None:
        return None
    loop = asyncio.get_running_loop()
    instruments = Instruments(layout)
    return await loop.create_server(
        lambda: Scrape(instruments), *door.settings.metrics_at, reuse_port=True
    )


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
