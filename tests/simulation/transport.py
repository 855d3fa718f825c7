"""Connections as asyncio's protocols see them."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections import deque
from typing import Any

from .network import End, Network, network_of

_HIGH_WATER = 64 * 1024


class Listening:
    """A listening socket of an event loop; what create_unix_server returns."""

    def __init__(self, network: Network, loop: Any, address: str, factory: Any) -> None:
        self._network = network
        self.loop = loop
        self.address = address
        self._factory = factory
        network.listen(self)

    def accept(self, end: End) -> None:
        if not end.peer.closed or end.arrived:
            protocol = self._factory()
            transport = Transport(self.loop, end, protocol)
            protocol.connection_made(transport)
            transport.start()

    def close(self) -> None:
        self._network.forget(self)

    async def wait_closed(self) -> None: ...


class Transport(asyncio.Transport):
    """An End as asyncio's protocols see it."""

    def __init__(self, loop: Any, end: End, protocol: Any) -> None:
        super().__init__()
        self._loop = loop
        self._end = end
        self._protocol = protocol
        self._unsent: deque[bytes] = deque()
        self._unsent_bytes = 0
        self._high = _HIGH_WATER
        self._paused = False
        self._closing = False
        self._lost = False
        self._scheduled = False
        self._socket = PeerSocket(end)

    def start(self) -> None:
        self._end.on_arrival = self._schedule
        self._end.on_room = self._schedule
        if self._end.arrived or self._end.ended:
            self._schedule()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        network = network_of(self._loop.process.world)
        return self._socket if name == "socket" and network.tells_peers else default

    def is_closing(self) -> bool:
        return self._closing

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = _HIGH_WATER if high is None else high

    def get_write_buffer_size(self) -> int:
        return self._unsent_bytes

    def write(self, data: Any) -> None:
        if self._closing or not data:
            return
        self._unsent.append(bytes(data))
        self._unsent_bytes += len(data)
        self._flush()
        if self._unsent_bytes > self._high and not self._paused:
            self._paused = True
            self._protocol.pause_writing()

    def writelines(self, data: Any) -> None:
        self.write(b"".join(data))

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            if not self._unsent:
                self._loop.call_soon(self._lose, None)

    def abort(self) -> None:
        self._closing = True
        self._unsent.clear()
        self._unsent_bytes = 0
        self._loop.call_soon(self._lose, None)

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def _flush(self) -> None:
        while self._unsent and self._end.room > 0:
            data = self._unsent.popleft()
            self._unsent_bytes -= len(data)
            self._end.send(data)
        if self._paused and not self._unsent:
            self._paused = False
            self._protocol.resume_writing()

    def _schedule(self) -> None:
        if not self._scheduled and not self._lost:
            self._scheduled = True
            self._loop.call_soon_threadsafe(self._ready)

    def _ready(self) -> None:
        self._scheduled = False
        if self._lost:
            return
        end = self._end
        self._flush()
        if self._closing:
            if not self._unsent or end.ended:
                self._lose(None)
            return
        data = end.take()
        if data:
            self._protocol.data_received(data)
        if end.ended and not end.arrived:
            self._closing = True
            self._lose(ConnectionResetError(104, "Connection reset by peer") if end.reset else None)

    def _lose(self, error: Exception | None) -> None:
        if not self._lost:
            self._lost = True
            self._end.close()
            self._protocol.connection_lost(error)


class PeerSocket:
    """As much of a connected socket as tells who is at its other end."""

    family = socket.AF_UNIX

    def __init__(self, end: End) -> None:
        self._end = end

    def __enter__(self) -> PeerSocket:
        return self

    def __exit__(self, *_: object) -> None: ...

    def fileno(self) -> int:
        network_of(self._end.process.world).descriptors[self._end.number] = self
        return self._end.number

    def getsockopt(self, _level: int, _option: int, _size: int) -> bytes:
        return struct.pack("3i", self._end.peer.process.number, os.geteuid(), 0)
