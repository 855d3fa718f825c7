"""Sessions of relays on other hosts: each is two things that find each other by a ticket. No I/O.

The relay asks for a ticket on its link; then it shows it on a connection of its own, which becomes the
client's socket, and hands the session over under it. Either may come first.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from dsql.rpc.link import TICKET_BYTES

TICKET_SECONDS = 10.0
TICKETS_MAX = 4_096  # that are open at a time

Client = TypeVar("Client")
Take = Callable[[Client | None], None]  # given None if no connection has come in time


class _Open(Generic[Client]):
    """A ticket that is not used up. `take` is who waits for the client's socket."""

    __slots__ = ("client", "deadline", "holder", "take")

    def __init__(self, holder: object, deadline: float) -> None:
        self.holder = holder
        self.deadline = deadline
        self.client: Client | None = None
        self.take: Take[Client] | None = None


class Tickets(Generic[Client]):
    """The open tickets of all links, in the order of their deadlines."""

    def __init__(self) -> None:
        self._open: dict[bytes, _Open[Client]] = {}

    def __len__(self) -> int:
        return len(self._open)

    def issue(self, holder: object, now: float) -> bytes | None:
        """Return a ticket for a session of `holder`; None if too many are open."""
        if len(self._open) >= TICKETS_MAX:
            return None
        ticket = secrets.token_bytes(TICKET_BYTES)
        self._open[ticket] = _Open(holder, now + TICKET_SECONDS)
        return ticket

    def show(self, ticket: bytes, client: Client) -> bool:
        """A connection has come with a ticket; return whether it is good. Then it is ours."""
        issued = self._open.get(ticket)
        if issued is None or issued.client is not None:
            return False
        issued.client = client
        self._join(ticket, issued)
        return True

    def claim(self, ticket: bytes, holder: object, take: Take[Client]) -> bool:
        """A session is handed over; return whether its ticket is good. `take` is given the connection."""
        issued = self._open.get(ticket)
        if issued is None or issued.holder is not holder or issued.take is not None:
            return False
        issued.take = take
        self._join(ticket, issued)
        return True

    def overdue(self, now: float) -> Iterator[Client]:
        """Give up the tickets whose time is over; yield the connections that nobody has claimed."""
        old = [ticket for ticket, issued in self._open.items() if issued.deadline <= now]
        yield from self._give_up(old)

    def withdraw(self, holder: object) -> Iterator[Client]:
        """Give up a link's tickets; yield the connections that nobody has claimed."""
        yield from self._give_up([t for t, issued in self._open.items() if issued.holder is holder])

    def _give_up(self, tickets: list[bytes]) -> Iterator[Client]:
        for ticket in tickets:
            issued = self._open.pop(ticket)
            if issued.client is not None:
                yield issued.client
            elif issued.take is not None:
                issued.take(None)

    def _join(self, ticket: bytes, issued: _Open[Client]) -> None:
        if issued.client is not None and issued.take is not None:
            del self._open[ticket]
            issued.take(issued.client)
