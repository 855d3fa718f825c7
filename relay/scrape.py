"""Where Prometheus fetches the relay's counters: `GET /metrics`, one request per connection."""

from __future__ import annotations

import asyncio
from typing import cast

from relay.metrics import Metrics

REQUEST_BYTES_MAX = 8_192
REQUEST_SECONDS = 5.0
_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Scrape(asyncio.Protocol):
    """One request, answered and closed."""

    _transport: asyncio.Transport
    _deadline: asyncio.TimerHandle

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._request = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the clock of the request."""
        self._transport = cast(asyncio.Transport, transport)
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(REQUEST_SECONDS, self._transport.abort)

    def data_received(self, data: bytes) -> None:
        """Answer once the head of the request is whole."""
        self._request += data
        if b"\r\n\r\n" in self._request:
            known = self._request.split(b" ", 2)[:2] == [b"GET", b"/metrics"]
            self._answer("200 OK" if known else "404 Not Found", self._metrics.exposition() * known)
        elif len(self._request) > REQUEST_BYTES_MAX:
            self._answer("431 Request Header Fields Too Large", "")

    def connection_lost(self, _: Exception | None) -> None:
        """Stop the clock."""
        self._deadline.cancel()

    def _answer(self, status: str, body: str) -> None:
        head = f"HTTP/1.1 {status}\r\nContent-Type: {_CONTENT_TYPE}\r\nContent-Length: {len(body)}"
        self._transport.write(f"{head}\r\nConnection: close\r\n\r\n{body}".encode())
        self._transport.close()
