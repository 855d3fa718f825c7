"""Parked sessions: clients that are silent, watched by the agent until they say something.

    query processor --Parked[client]--> agent ... input, the deadline --Resume[client]--> another
                                              ... its client goes, without a word --> over

A parked session costs a descriptor, a record of some hundred bytes and its place in one epoll set; no
process, no timer. Its record is opaque here. A cancel finds nothing, for it runs nothing; one that comes
on its way to a query processor is passed on when it has arrived. Nobody is woken for a client that goes
and has said nothing before: there is nothing to undo, and nobody to tell.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import select
import sys
import termios
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator

from dsql.limits import CONNECTION_SECONDS_MAX, PARKED_BYTES_PER_CLUSTER_MAX
from placement.pending import START_SECONDS_MAX
from placement.sessions import ParkedRecord
from placement.worker import Worker

logger = logging.getLogger(__name__)

_EVENTS_AT_ONCE = 64  # sessions that are woken between two looks at everything else
_INPUT = select.EPOLLIN | select.EPOLLRDHUP
_GONE = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
_WAKES_KEPT = 100
_SNAPSHOT_SECONDS_MAX = 25.0  # more than a query processor gives its replicas for that


class ParkedSession:
    """A session between two query processors; implements `placement.pending.Pending`. Owns the socket."""

    __slots__ = (
        *(
            "activity",
            "cancelled",
            "client",
            "cluster",
            "deadline",
            "ears",
            "heard",
            "kept",
            "keys",
            "left",
            "number",
        ),
        *("ended", "parks", "record", "starts", "woken_at"),
    )

    def __init__(self, cluster: str, parked: ParkedRecord) -> None:
        self.cluster = cluster
        self.number = parked.number
        self.keys = parked.keys
        self.client = parked.client
        self.record = parked.record
        self.deadline = parked.deadline
        self.activity = parked.activity
        self.ears = parked.ears
        self.heard = 0  # up to this commit timestamp nothing was told to them
        self.starts = 0
        self.kept = False  # by the keeper, which gives it to the next agent: see placement.keeping
        self.parks = True  # again, when it has been resumed
        self.cancelled = False  # on its way to a query processor
        self.ended = False  # likewise, or parked: it is woken to hear that it is to end
        self.left: Worker | None = None  # to move on at once, without being parked
        self.woken_at = 0.0

    @property
    def start_seconds(self) -> float:
        """See Pending. One that moves in a transaction waits for a replica that has its snapshot."""
        return START_SECONDS_MAX if self.left is None else _SNAPSHOT_SECONDS_MAX

    def start(self, worker: Worker, number: int) -> None:
        """See Pending."""
        assert not self.kept, "a record that is given away is nobody else's"
        self.starts += 1
        worker.resume(
            number, self.record, self.client, self.keys, parks=self.parks, heard=self.heard
        )

    def settle(self) -> None:
        """See Pending."""
        os.close(self.client)
        if self.left is not None:
            self.left.release(self.number)

    def refuse(self, sqlstate: str, text: str) -> None:
        """See Pending. Its client finds the connection closed: who could speak to it has no room for it."""
        named = {"cluster": self.cluster, "connection": self.keys.process_key}
        details = named | {"sqlstate": sqlstate, "reason": text}
        logger.warning("parked session lost", extra=details)
        self.settle()


def _do_nothing(session: ParkedSession) -> None:
    """Do nothing: nobody listens in its place."""


class ParkingLot:
    """All parked sessions of a host. `wake` is called with each that has to go on, which is out by then.

    `ended` is called with each whose client has gone, likewise; `parked` with each that comes in, `woken`
    with each that goes, before the others.
    """

    def __init__(
        self, wake: Callable[[ParkedSession], None], ended: Callable[[ParkedSession], None]
    ) -> None:
        self._wake = wake
        self._ended = ended
        self.parked: Callable[[ParkedSession], None] = _do_nothing
        self.woken: Callable[[ParkedSession], None] = _do_nothing
        self._sessions: dict[int, ParkedSession] = {}  # by descriptor
        self._numbers: set[int] = set()
        self._bytes: Counter[str] = Counter()  # of records, by cluster
        # How long the last ones waited for a query processor, in seconds; who sees them start notes it.
        self.wakes: deque[float] = deque(maxlen=_WAKES_KEPT)
        self._epoll = select.epoll()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._epoll.fileno(), self._look)
        self._alarm: asyncio.TimerHandle | None = None  # at the earliest deadline that there was
        self._alarm_at = float("inf")

    def __len__(self) -> int:
        return len(self._sessions)

    def __contains__(self, number: int) -> bool:
        """Return whether the session with this number is parked."""
        return number in self._numbers

    def __iter__(self) -> Iterator[ParkedSession]:
        """Yield all of them."""
        yield from self._sessions.values()

    def has_room(self, session: ParkedSession) -> bool:
        """Return whether its cluster's records may take so much."""
        return self._bytes[session.cluster] + len(session.record) <= PARKED_BYTES_PER_CLUSTER_MAX

    def park(self, session: ParkedSession) -> None:
        """Watch a session from now on. What has come meanwhile wakes it at once."""
        assert session.client not in self._sessions, "a descriptor is one session's"
        assert session.number not in self._numbers, "who is parked is nowhere else"
        self._sessions[session.client] = session
        self._numbers.add(session.number)
        self._bytes[session.cluster] += len(session.record)
        self._epoll.register(session.client, _INPUT)
        # A process may say anything; no session lives longer than this.
        session.deadline = min(session.deadline, time.monotonic() + CONNECTION_SECONDS_MAX)
        if session.deadline < self._alarm_at:
            self._set_alarm(session.deadline)
        self.parked(session)

    def wake(self, session: ParkedSession) -> None:
        """Let a parked session go on."""
        self._let_go(session)

    def wake_all(self) -> None:
        """Let every session go on."""
        for session in list(self._sessions.values()):
            self._let_go(session)

    def lose(self, cluster: str, forget: Callable[[ParkedSession], None]) -> None:
        """Close the sessions of a cluster that is no more; `forget` has nobody else wake them."""
        for session in [one for one in self._sessions.values() if one.cluster == cluster]:
            forget(session)
            self._take_out(session)
            session.refuse("57P01", "the cluster was deleted")

    def rest(self) -> None:
        """Look at no client any more: the next agent will see what they have said."""
        self._loop.remove_reader(self._epoll.fileno())
        if self._alarm is not None:
            self._alarm.cancel()

    def close(self) -> None:
        """Watch nothing any more, and close what is left."""
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()
        if self._alarm is not None:
            self._alarm.cancel()
        for session in self._sessions.values():
            os.close(session.client)
        self._sessions.clear()

    def _look(self) -> None:
        for descriptor, events in self._epoll.poll(0, _EVENTS_AT_ONCE):
            session = self._sessions[descriptor]
            if events & _GONE and not _unread_bytes(descriptor):
                self._leave(session)
                self._ended(session)
            else:
                self._let_go(session)

    def _let_go(self, session: ParkedSession) -> None:
        session.woken_at = time.monotonic()
        self._leave(session)
        self._wake(session)

    def _leave(self, session: ParkedSession) -> None:
        self._take_out(session)
        self.woken(session)

    def _take_out(self, session: ParkedSession) -> None:
        del self._sessions[session.client]
        self._numbers.remove(session.number)
        self._bytes[session.cluster] -= len(session.record)
        if not self._bytes[session.cluster]:
            del self._bytes[session.cluster]
        # The process that parked it may not have closed its copy yet: closing ours would not be enough.
        self._epoll.unregister(session.client)

    def _set_alarm(self, deadline: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_at = deadline
        self._alarm = self._loop.call_later(max(0.0, deadline - time.monotonic()), self._ring)

    def _ring(self) -> None:
        """Wake those whose deadline has come; the next alarm is at the earliest of the others."""
        self._alarm, self._alarm_at = None, float("inf")
        now = time.monotonic()
        for session in list(self._sessions.values()):
            if session.deadline <= now:
                self._let_go(session)
        earliest = min((session.deadline for session in self._sessions.values()), default=None)
        if earliest is not None:
            self._set_alarm(earliest)


def _unread_bytes(descriptor: int) -> int:
    """Return how much of what has come on a socket nobody has read."""
    return int.from_bytes(fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)), sys.byteorder)
