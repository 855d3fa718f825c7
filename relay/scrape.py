"""Where Prometheus fetches the counters of all relays and the installation's health: `GET /metrics`.

One request per connection. Relays share this port too, and each answers for all. The roles are asked by a
thread, and only once for all who wait for it.
"""

from __future__ import annotations

import asyncio
from typing import cast

from dsql.control.clusters import list_clusters
from dsql.control.layout import Layout
from dsql.health.collect import collect
from dsql.health.conditions import conditions
from dsql.health.exposition import exposition

REQUEST_BYTES_MAX = 8_192
REQUEST_SECONDS = 5.0  # more than silent roles cost
_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Instruments:
    """What there is to read."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._reading: asyncio.Task[str] | None = None

    async def read(self) -> str:
        """Return everything in Prometheus' text format."""
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(asyncio.to_thread(self._health))
        return await asyncio.shield(self._reading)

    def _health(self) -> str:
        clusters = list_clusters(self._layout)
        roles = collect(self._layout, clusters)
        return exposition(clusters, roles, conditions(clusters, roles))


class Scrape(asyncio.Protocol):
    """One request, answered and closed."""

    _transport: asyncio.Transport
    _deadline: asyncio.TimerHandle

    def __init__(self, instruments: Instruments) -> None:
        self._instruments = instruments
        self._request = b""
        self._reading: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the clock of the request."""
        self._transport = cast(asyncio.Transport, transport)
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(REQUEST_SECONDS, self._transport.abort)

    def data_received(self, data: bytes) -> None:
        """Answer once the head of the request is whole."""
        if self._reading is not None:
            return
        self._request += data
        if b"\r\n\r\n" in self._request:
            if self._request.split(b" ", 2)[:2] == [b"GET", b"/metrics"]:
                self._reading = asyncio.get_running_loop().create_task(self._read())
            else:
                self._answer("404 Not Found", "")
        elif len(self._request) > REQUEST_BYTES_MAX:
            self._answer("431 Request Header Fields Too Large", "")

    def connection_lost(self, _: Exception | None) -> None:
        """Stop the clock."""
        self._deadline.cancel()
        if self._reading is not None:
            self._reading.cancel()

    async def _read(self) -> None:
        self._answer("200 OK", await self._instruments.read())

    def _answer(self, status: str, body: str) -> None:
        head = f"HTTP/1.1 {status}\r\nContent-Type: {_CONTENT_TYPE}\r\nContent-Length: {len(body)}"
        self._transport.write(f"{head}\r\nConnection: close\r\n\r\n{body}".encode())
        self._transport.close()
