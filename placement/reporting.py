"""The agent's connection to the placement service: reports go there, cancellations come from there."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

from dsql.rpc import packets
from dsql.rpc.packets import PacketChannel, close_all
from placement.messages import Cancel, LoadReport, decode, encode

REPORT_SECONDS = 0.02


class Reporting:
    """See the module. `report()` makes a report, `cancel(process key, secret key)` obeys."""

    def __init__(
        self, path: Path, report: Callable[[], LoadReport], cancel: Callable[[int, int], None]
    ) -> None:
        self._path = path
        self._report = report
        self._cancel = cancel
        self._channel: PacketChannel | None = None
        self._scheduled = False

    @property
    def connected(self) -> bool:
        """Whether there is a placement service."""
        return self._channel is not None

    def connect(self) -> None:
        """Register with the placement service, if it is there and does not know of this agent."""
        if self._channel is None:
            try:
                connection = packets.connect(self._path)
            except OSError:
                return  # not there yet, or restarting: the next tick tries again
            self._channel = PacketChannel(connection, self.received, self._closed)
            self._send()

    def close(self) -> None:
        """Be found no more."""
        if self._channel is not None:
            self._channel.close()

    def schedule(self) -> None:
        """Report soon, once for all that happens until then."""
        if not self._scheduled and self._channel is not None:
            self._scheduled = True
            asyncio.get_running_loop().call_later(REPORT_SECONDS, self._send)

    def received(self, packet: bytes, descriptors: list[int]) -> None:
        """Take what placement says."""
        close_all(descriptors)
        message = decode(packet)
        if isinstance(message, Cancel):
            self._cancel(message.process_id, message.secret_key)

    def _send(self) -> None:
        self._scheduled = False
        if self._channel is not None:
            with contextlib.suppress(ConnectionError):  # the next connection starts with a report
                self._channel.send(encode(self._report()))

    def _closed(self) -> None:
        self._channel = None
