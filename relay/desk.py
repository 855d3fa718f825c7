"""Where a relay is asked how it is, and told to end: packets at a Unix socket of its own."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from pathlib import Path

import msgspec

from dsql.rpc.packets import PacketChannel, PacketServer, close_all
from placement.messages import Drain, StatusReport, StatusRequest, decode, encode

_log = logging.getLogger(__name__)

Status = Callable[[], dict[str, object]]


class Desk:
    """Listens at `path`. `drain(seconds)` is called for whoever asks the relay to end."""

    def __init__(self, path: Path, status: Status, drain: Callable[[float], None]) -> None:
        self._status = status
        self._drain = drain
        self._channels: set[PacketChannel] = set()
        self._server = PacketServer(path, self._accept)

    def close(self) -> None:
        """Close every connection, and be found no more."""
        self._server.close()
        for channel in list(self._channels):
            channel.close()

    def _accept(self, connection: socket.socket) -> None:
        def received(packet: bytes, descriptors: list[int]) -> None:
            close_all(descriptors)
            try:
                self._answer(channel, packet)
            except (msgspec.DecodeError, ConnectionError) as error:
                _log.warning("connection dropped", extra={"reason": str(error)})
                channel.close()

        channel = PacketChannel(connection, received, lambda: self._channels.discard(channel))
        self._channels.add(channel)

    def _answer(self, channel: PacketChannel, packet: bytes) -> None:
        message = decode(packet)
        if isinstance(message, Drain):
            self._drain(message.seconds)
        if isinstance(message, Drain | StatusRequest):
            channel.send(encode(StatusReport(message.request, self._status())))
