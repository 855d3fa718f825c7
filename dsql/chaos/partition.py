"""The event loop of a zone that can be cut off from others (`dsql.chaos.cuts`).

Only zones of a cluster that was started with `dsql up --chaos` run on it. It looks at the cuts many times a
second and does not read from the connections that are cut. So what is sent waits, as in a network that
drops it, and comes late when the cut heals; connecting succeeds, and nobody answers.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Callable
from typing import Any, cast

import uvloop

from dsql.chaos.cuts import cuts_path
from dsql.control.layout import Layout
from dsql.control.running import read_processes

LOOK_SECONDS = 0.02
_PEER = struct.Struct("3i")  # struct ucred: pid, uid, gid


class PartitionableLoop(uvloop.Loop):
    """The loop of the role `name`, whose Unix connections can be cut."""

    def __init__(self, layout: Layout, name: str) -> None:
        super().__init__()
        self._layout = layout
        self._name = name
        self._links: dict[asyncio.Transport, int] = {}  # to the peer's process
        self._version = 0
        self._deaf_to: set[str] = set()
        self._looking: asyncio.Handle = self.call_soon(self._look)

    def close(self) -> None:
        """As asyncio's."""
        self._looking.cancel()
        super().close()

    async def create_unix_server(  # type: ignore[override]
        self, protocol_factory: Callable[[], asyncio.Protocol], *args: Any, **options: Any
    ) -> Any:
        """As asyncio's."""
        return await super().create_unix_server(self._watched(protocol_factory), *args, **options)

    async def create_unix_connection(  # type: ignore[override]
        self, protocol_factory: Callable[[], asyncio.Protocol], *args: Any, **options: Any
    ) -> Any:
        """As asyncio's."""
        return await super().create_unix_connection(
            self._watched(protocol_factory), *args, **options
        )

    def _watched(
        self, protocol_factory: Callable[[], asyncio.Protocol]
    ) -> Callable[[], asyncio.Protocol]:
        def make() -> asyncio.Protocol:
            protocol = protocol_factory()
            made, lost = protocol.connection_made, protocol.connection_lost
            transports: list[asyncio.Transport] = []

            def connection_made(transport: asyncio.BaseTransport) -> None:
                stream = cast(asyncio.Transport, transport)
                transports.append(stream)
                self._links[stream] = _peer(stream)
                made(transport)
                self.call_soon(self._apply, stream)  # it does not read yet, and cannot be stopped

            def connection_lost(error: Exception | None) -> None:
                for stream in transports:
                    self._links.pop(stream, None)
                lost(error)

            protocol.connection_made = connection_made  # type: ignore[method-assign]
            protocol.connection_lost = connection_lost  # type: ignore[method-assign,assignment]
            return protocol

        return make

    def _look(self) -> None:
        self._looking = self.call_later(LOOK_SECONDS, self._look)
        path = cuts_path(self._layout)
        try:
            version = path.stat().st_mtime_ns
            if version == self._version:
                return
            cuts = json.loads(path.read_bytes())
        except (OSError, ValueError):
            return
        self._version = version
        self._deaf_to = {speaker for hearer, speaker in cuts if hearer == self._name}
        for transport in list(self._links):
            self._apply(transport)

    def _apply(self, transport: asyncio.Transport) -> None:
        """Read from a connection, or do not."""
        if transport.is_closing():
            return
        running = read_processes(self._layout)
        deaf_to = {running[name].process_id for name in self._deaf_to if name in running}
        if self._links.get(transport) in deaf_to:
            transport.pause_reading()
        else:
            transport.resume_reading()


def _peer(transport: asyncio.Transport) -> int:
    """Return the process at the other end."""
    descriptor = transport.get_extra_info("socket").fileno()
    with socket.fromfd(descriptor, socket.AF_UNIX, socket.SOCK_STREAM) as connected:
        raw = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    return int(_PEER.unpack(raw)[0])
