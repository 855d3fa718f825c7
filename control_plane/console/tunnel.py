"""A browser's way to the relay: the bytes of PostgreSQL's protocol, each way, between WebSocket and TLS.

Nothing of them is looked at. Where they go is settled before the first one: to this installation's relays,
under the name of the cluster in the path, by which the relay knows which cluster is meant; a startup option
that names another one it refuses. The browser shows the token there, like any client.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import Awaitable, Callable

from starlette.websockets import WebSocket, WebSocketDisconnect

from dsql.control.layout import Layout
from dsql.control.running import relay_address

TUNNELS_MAX = 100
TUNNELS_PER_SESSION_MAX = 12
CONNECT_SECONDS = 10.0
IDLE_SECONDS = 15 * 60.0
AGE_SECONDS = 3_900.0  # a session of DSQL's ends by itself after an hour
CHECK_SECONDS = 5.0
PROTOCOL = "postgresql"
_CHUNK_BYTES = 64 * 1024
_GOING_AWAY, _POLICY, _TRY_AGAIN = 1001, 1008, 1013


class _OverError(Exception):
    """A tunnel has to end: the code and the reason that the browser is told."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Tunnels:
    """Those that are open, and how many a session has. They lead to `relay`, None: those on this host."""

    def __init__(self, layout: Layout, relay: tuple[str, int] | None = None) -> None:
        self._layout = layout
        self._relay = relay
        self._open: dict[object, int] = {}

    def __len__(self) -> int:
        return sum(self._open.values())

    async def carry(
        self,
        browser: WebSocket,
        endpoint: str,
        owner: object,
        check: Callable[[], Awaitable[None]],
    ) -> None:
        """Carry bytes until an end closes or a bound is met; `check` raises once `owner` may not."""
        own = self._open.get(owner, 0)
        if own >= TUNNELS_PER_SESSION_MAX or len(self) >= TUNNELS_MAX:
            await browser.close(_TRY_AGAIN, "too many connections are open")
            return
        self._open[owner] = own + 1
        try:
            await self._connect(browser, endpoint, check)
        finally:
            self._open[owner] -= 1
            if not self._open[owner]:
                del self._open[owner]

    async def _connect(
        self, browser: WebSocket, endpoint: str, check: Callable[[], Awaitable[None]]
    ) -> None:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                reader, writer = await self._dial(endpoint)
        except (OSError, TimeoutError) as error:
            reason = f"the relay cannot be reached: {error or 'no answer'}"
            await browser.close(_TRY_AGAIN, reason[:120])
            return
        try:
            await _Carrying(browser, reader, writer, check).run()
        finally:
            writer.transport.abort()

    async def _dial(self, endpoint: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = self._relay or relay_address(self._layout)
        context = ssl.create_default_context(cafile=str(self._layout.ca_certificate))
        context.set_alpn_protocols([PROTOCOL])
        return await asyncio.open_connection(host, port, ssl=context, server_hostname=endpoint)


class _Carrying:
    """One tunnel."""

    def __init__(
        self,
        browser: WebSocket,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        check: Callable[[], Awaitable[None]],
    ) -> None:
        self._browser = browser
        self._reader = reader
        self._writer = writer
        self._check = check
        self._began_at = self._moved_at = time.monotonic()

    async def run(self) -> None:
        """Run until one of the ways ends, and tell the browser why."""
        ways = [self._up(), self._down(), self._watch()]
        tasks = [asyncio.create_task(way) for way in ways]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        failure = next((error for task in done if (error := task.exception())), None)
        code, reason = 1000, "the server has closed the connection"
        if isinstance(failure, _OverError):
            code, reason = failure.code, failure.reason
        elif failure is not None and not isinstance(failure, OSError):
            raise failure
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):  # the browser was first
            await self._browser.close(code, reason)

    async def _up(self) -> None:
        with contextlib.suppress(
            WebSocketDisconnect, KeyError
        ):  # KeyError: it was no binary message
            while True:
                data = await self._browser.receive_bytes()
                self._moved_at = time.monotonic()
                self._writer.write(data)
                await self._writer.drain()

    async def _down(self) -> None:
        with contextlib.suppress(WebSocketDisconnect):
            while data := await self._reader.read(_CHUNK_BYTES):
                self._moved_at = time.monotonic()
                await self._browser.send_bytes(data)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            now = time.monotonic()
            if now - self._moved_at > IDLE_SECONDS or now - self._began_at > AGE_SECONDS:
                raise _OverError(_GOING_AWAY, "the connection was idle for too long")
            try:
                await self._check()
            except Exception as error:
                raise _OverError(_POLICY, str(error)[:120]) from error
