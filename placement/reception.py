"""The agent's door: relays come in, hand sessions over and get their answers."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec

from dsql.rpc.packets import PacketChannel, PacketServer, close_all
from dsql.session import handed
from placement.messages import Drain, HandOver, Message, StatusReport, StatusRequest, decode, encode
from placement.pending import PendingSession

logger = logging.getLogger(__name__)


class Desk(Protocol):
    """Who takes what relays bring."""

    def arrived(self, session: PendingSession) -> int:
        """Find a query processor for a session; return a number for `withdrawn`."""
        ...

    def withdrawn(self, number: int) -> None:
        """The session's relay went away; if the session still waits, drop it."""
        ...

    def status(self) -> dict[str, object]:
        """Return the agent's account of itself."""
        ...

    def drain(self, seconds: float) -> None:
        """Leave within so many seconds."""
        ...


class Reception:
    """Listens for relays at `path`."""

    def __init__(self, path: Path, desk: Desk) -> None:
        self._desk = desk
        self._relays: set[_Relay] = set()
        self._server = PacketServer(path, self._accept)

    def close(self) -> None:
        """Close every connection."""
        self._server.close()
        for relay in list(self._relays):
            relay.channel.close()

    def _accept(self, connection: socket.socket) -> None:
        self._relays.add(_Relay(connection, self._desk, self._relays.discard))


class _Relay:
    """One connection of a relay (or of somebody who asks for the status, or to drain)."""

    def __init__(
        self, connection: socket.socket, desk: Desk, closed: Callable[[_Relay], None]
    ) -> None:
        self._desk = desk
        self._waiting: set[int] = set()
        self._on_close = closed
        self._open = True
        self.channel = PacketChannel(connection, self._received, self._closed)

    def _received(self, packet: bytes, descriptors: list[int]) -> None:
        try:
            message = decode(packet)
            if isinstance(message, HandOver) and len(descriptors) == 1:
                self._take(message, descriptors[0])
            elif isinstance(message, StatusRequest | Drain):
                if isinstance(message, Drain):
                    self._desk.drain(message.seconds)
                self._answer(StatusReport(message.request, self._desk.status()))
        except msgspec.DecodeError as error:
            logger.warning("relay dropped", extra={"reason": str(error)})
            self.channel.close()
        finally:
            close_all(descriptors)

    def _take(self, message: HandOver, client: int) -> None:
        session = handed.decode(message.handed)
        number = 0

        def answer(message: Message) -> None:
            self._waiting.discard(number)
            self._answer(message)

        pending = PendingSession(message, session, os.dup(client), answer)
        number = self._desk.arrived(pending)
        if not pending.settled:
            self._waiting.add(number)

    def _answer(self, message: Message) -> None:
        if self._open:
            try:
                self.channel.send(encode(message))
            except ConnectionError:
                return  # the relay is gone: its sessions live on without it

    def _closed(self) -> None:
        self._open = False
        self._on_close(self)
        for number in self._waiting:
            self._desk.withdrawn(number)
