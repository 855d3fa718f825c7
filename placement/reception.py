"""The agent's door: relays come in, hand sessions over and get their answers."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol

import msgspec

from dsql.rpc.link import LinkChannel
from dsql.rpc.link_server import LinkServer
from dsql.rpc.packets import PacketChannel, PacketServer, close_all
from dsql.session import handed
from dsql.session.handed import HandedSession
from placement.decisions import CANNOT_START, TOO_MANY_CONNECTIONS
from placement.messages import (
    Drain,
    HandOver,
    Message,
    Refused,
    Reseed,
    StatusReport,
    StatusRequest,
    Ticket,
    TicketRequest,
    decode,
    encode,
)
from placement.pending import PendingSession
from placement.tickets import Tickets

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

    def reseed(self) -> None:
        """Have the next seed replace the present one, and its query processors."""
        ...


class Reception:
    """Listens for relays at `path`, and for those of other hosts at `link`, if there is one."""

    def __init__(self, path: Path, desk: Desk, link: LinkServer | None = None) -> None:
        self._desk = desk
        self._relays: set[_Relay] = set()
        self._tickets: Tickets[int] = Tickets()
        self._server = PacketServer(path, self._accept)
        if link is not None:
            link.serve("agent", self._accept_linked, self._redeem)

    def close(self) -> None:
        """Close every connection."""
        self._server.close()
        for relay in list(self._relays):
            relay.channel.close()

    def tick(self, now: float) -> None:
        """Give up tickets that nobody has used."""
        close_all(self._tickets.overdue(now))

    @property
    def linked(self) -> int:
        """How many relays of other hosts there are."""
        return sum(1 for relay in self._relays if isinstance(relay, _LinkedRelay))

    def _accept(self, connection: socket.socket) -> None:
        relay = _Relay(self._desk, self._relays.discard)
        relay.channel = PacketChannel(connection, relay.received, relay.closed)
        self._relays.add(relay)

    def _accept_linked(self, channel: LinkChannel) -> None:
        relay = _LinkedRelay(self._desk, self._relays.discard, self._tickets)
        relay.channel = channel
        channel.attach(relay.received, relay.closed)
        self._relays.add(relay)

    def _redeem(self, ticket: bytes, connection: socket.socket) -> bool:
        if not self._tickets.show(ticket, connection.fileno()):
            return False
        connection.detach()
        return True


class _Relay:
    """One connection of a relay (or of somebody who asks for the status, or to drain)."""

    channel: PacketChannel | LinkChannel

    def __init__(self, desk: Desk, closed: Callable[[_Relay], None]) -> None:
        self._desk = desk
        self._waiting: set[int] = set()
        self._on_close = closed
        self._open = True

    def received(self, packet: bytes, descriptors: list[int]) -> None:
        """Take what it says."""
        try:
            message = decode(packet)
            if isinstance(message, StatusRequest):
                self._answer(StatusReport(message.request, self._desk.status()))
            else:
                self._obey(message, descriptors)
        except msgspec.DecodeError as error:
            logger.warning("relay dropped", extra={"reason": str(error)})
            self.channel.close()
        finally:
            close_all(descriptors)

    def _obey(self, message: Message, descriptors: list[int]) -> None:
        if isinstance(message, HandOver) and len(descriptors) == 1:
            self._take(message, handed.decode(message.handed), os.dup(descriptors[0]))
        elif isinstance(message, Drain | Reseed):
            if isinstance(message, Drain):
                self._desk.drain(message.seconds)
            else:
                self._desk.reseed()
            self._answer(StatusReport(message.request, self._desk.status()))

    def _take(self, message: HandOver, session: HandedSession, client: int) -> None:
        """Find a query processor for a session; the client's socket is given away."""
        number = 0

        def answer(message: Message) -> None:
            self._waiting.discard(number)
            self._answer(message)

        pending = PendingSession(message, session, client, answer)
        number = self._desk.arrived(pending)
        if not pending.settled:
            self._waiting.add(number)

    def _answer(self, message: Message) -> None:
        if self._open:
            try:
                self.channel.send(encode(message))
            except ConnectionError:
                return  # the relay is gone: its sessions live on without it

    def closed(self) -> None:
        """Drop what still waits: its clients are gone, or ask again."""
        self._open = False
        self._on_close(self)
        for number in self._waiting:
            self._desk.withdrawn(number)


class _LinkedRelay(_Relay):
    """The link of a relay on another host: clients' sockets come beside it, with tickets."""

    def __init__(self, desk: Desk, closed: Callable[[_Relay], None], tickets: Tickets[int]) -> None:
        super().__init__(desk, closed)
        self._tickets = tickets

    def _obey(self, message: Message, descriptors: list[int]) -> None:
        assert not descriptors, "a link carries none"
        if isinstance(message, TicketRequest):
            ticket = self._tickets.issue(self, time.monotonic())
            if ticket is None:
                self._answer(Refused(message.request, "53300", TOO_MANY_CONNECTIONS))
            else:
                self._answer(Ticket(message.request, ticket))
        elif isinstance(message, HandOver):
            take = partial(self._take_linked, message, handed.decode(message.handed))
            if not self._tickets.claim(message.ticket, self, take):
                take(None)

    def _take_linked(self, message: HandOver, session: HandedSession, client: int | None) -> None:
        if client is None:
            self._answer(Refused(message.request, "57P03", CANNOT_START))
        else:
            self._take(message, session, client)

    def closed(self) -> None:
        """See _Relay."""
        close_all(self._tickets.withdraw(self))
        super().closed()
