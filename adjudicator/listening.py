"""The listeners' side of notifications: one feed of a cluster's commits for all who listen in a process.

    session --LISTEN--> join(listener, behind) ... every zone --HEARD--> hear(...) of each that listens

`Feed` does no I/O but by the connections that it is given; query processors drive it in a task of their hub
(`NotificationFeed`), agents for the sessions that they have parked in their event loop.

What is notified is in the journal with the commit that tells it, and every zone reads it from its own
replica. All zones are asked, and whichever is first is passed on: one that hangs, dies or is cut off is not
missed. Positions are commit timestamps: what a zone says under a feed's name is all that comes behind the
feed's beginning, in the order of the commits and without gaps. So

    the position is one up to which everything was passed on, whoever has told it;
    a zone that is lost is asked again from the position on, as long as its journal has that;
    who joins behind an earlier timestamp has the feed begin again there, and everybody else passes over
    what he has heard.

Either a listener hears all behind the timestamp that it has joined with, once and in order, or it is told
that it cannot (`forgotten`): when a majority of the zones has trimmed what would come next. Journals keep
some minutes more than any feed may be behind.

Without listeners nothing is asked, and nothing runs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from adjudicator.messages import (
    TRANSACTION_ID_BYTES,
    Verdict,
    encode_listen,
    heard_notifications,
)
from adjudicator.zone_connection import ZoneFeed
from dsql.hub.waiter import NEVER, Activity, Waiter
from dsql.transaction.interface import Notification

_RETRY_SECONDS = 0.25  # between two attempts to reach a zone


class Zone(Protocol):
    """A connection to one."""

    feed: ZoneFeed | None

    @property
    def is_open(self) -> bool:
        """Whether it is not lost."""
        ...

    def tell(self, request: bytes) -> None:
        """Send a request."""
        ...

    def watch(self, deadline: float) -> float:
        """Have what the zone says taken as it comes."""
        ...


Reach = Callable[[str], Zone | None]


class Listener(Protocol):
    """A session that listens. What is called here must not wait."""

    def hear(self, timestamp: int, notification: Notification) -> None:
        """Take in what the commit at a timestamp tells a channel that it listens to."""
        ...

    def forgotten(self) -> None:
        """Something may be missing from now on."""
        ...


class Feed:
    """Of one cluster, in one process.

    `reach(az)` returns the connection to a zone, None if there is none now. `changed` is called when `ask`
    has something to do.
    """

    def __init__(self, azs: Sequence[str], reach: Reach, changed: Callable[[], None]) -> None:
        self._azs = azs
        self._reach = reach
        self._changed = changed
        self._listeners: dict[Listener, int] = {}  # and up to where each of them has heard all
        self._channels: dict[str, dict[Listener, None]] = {}
        self._name = b""
        self._position = 0
        self._asked: dict[str, Zone] = {}
        self._forgetful: set[str] = set()  # zones whose journals begin behind the position

    # ------------------------------------------------------------ from sessions

    @property
    def has_listeners(self) -> bool:
        """Whether there are any."""
        return bool(self._listeners)

    def join(self, listener: Listener, behind: int) -> None:
        """Let a listener hear what is committed behind a timestamp, on the channels that it names."""
        assert listener not in self._listeners, "a session joins once"
        if not self._listeners:
            self._begin(behind)
        elif behind < self._position:
            for other, heard in self._listeners.items():
                self._listeners[other] = max(heard, self._position)
            self._begin(behind)
        self._listeners[listener] = behind

    def leave(self, listener: Listener) -> None:
        """Let it hear nothing more; it listens to no channel."""
        assert not any(listener in listening for listening in self._channels.values())
        del self._listeners[listener]
        if not self._listeners:
            self._changed()

    def listen(self, listener: Listener, channel: str) -> None:
        """Add a channel to those that a listener hears."""
        assert listener in self._listeners, "it has joined before"
        self._channels.setdefault(channel, {})[listener] = None

    def unlisten(self, listener: Listener, channel: str) -> None:
        """Take one away."""
        listening = self._channels.get(channel, {})
        listening.pop(listener, None)
        if not listening:
            self._channels.pop(channel, None)

    def position(self, listener: Listener) -> int:
        """Return the timestamp up to which a listener has heard all."""
        return max(self._listeners[listener], self._position)

    # ------------------------------------------------------------ adjudicator.zone_connection.ZoneFeed

    def said(self, az: str, feed: bytes, verdict: int, timestamp: int, body: bytes) -> None:
        """See ZoneFeed."""
        if feed != self._name:
            return  # an earlier one's, or nobody's any more
        if verdict == Verdict.FORGOTTEN:
            self._forgetful.add(az)
            self._asked.pop(az, None)
            self._changed()
            if len(self._forgetful) > len(self._azs) // 2:
                for listener in list(self._listeners):
                    listener.forgotten()
        elif timestamp > self._position:
            self._pass_on(timestamp, heard_notifications(body))
            self._position = timestamp
            self._forgetful.clear()

    def lost(self, az: str) -> None:
        """See ZoneFeed."""
        if self._asked.pop(az, None) is not None:
            self._changed()

    # ------------------------------------------------------------ from who drives it

    def ask(self) -> float:
        """Ask the zones that are not asked, or tell all that it is over; return when to do so again.

        In seconds from now: inf if nothing is missing.
        """
        for az in self._azs if self._listeners else ():
            if az not in self._asked:
                self._ask(az)
        if self._listeners:
            return NEVER if len(self._asked) == len(self._azs) else _RETRY_SECONDS
        for connection in self._asked.values():
            if connection.is_open:
                connection.tell(encode_listen(self._name, 0))
        self._asked.clear()
        return NEVER

    # ------------------------------------------------------------ inside

    def _pass_on(self, timestamp: int, notifications: Iterable[Notification]) -> None:
        for notification in notifications:
            for listener in list(self._channels.get(notification[1], ())):
                if timestamp > self._listeners.get(listener, timestamp):  # one may leave at once
                    listener.hear(timestamp, notification)

    def _begin(self, behind: int) -> None:
        """Have a new feed, which begins behind a timestamp."""
        self._name = os.urandom(TRANSACTION_ID_BYTES)
        self._position = behind
        self._asked.clear()
        self._forgetful.clear()
        self._changed()

    def _ask(self, az: str) -> None:
        connection = self._reach(az)
        if connection is not None and self._listeners:
            self._forgetful.discard(az)
            connection.feed = self
            connection.watch(NEVER)
            connection.tell(encode_listen(self._name, self._position))
            if connection.is_open:
                self._asked[az] = connection


class NotificationFeed(Feed):
    """Of one query processor: a task asks the zones as long as there are listeners.

    `reach` may wait. `spawn` starts the task; `latest` is the cluster's clock.
    """

    def __init__(
        self,
        azs: Sequence[str],
        reach: Reach,
        waiter: Waiter,
        spawn: Callable[[Callable[[], None]], Activity],
        latest: Callable[[], int],
    ) -> None:
        super().__init__(azs, reach, self._see_to_it)
        self.latest = latest
        self._waiter = waiter
        self._spawn = spawn
        self._task: Activity | None = None
        self._awaited: list[tuple[int, Activity | None]] = []

    def said(self, az: str, feed: bytes, verdict: int, timestamp: int, body: bytes) -> None:
        """See ZoneFeed."""
        super().said(az, feed, verdict, timestamp, body)
        for wanted, activity in self._awaited:
            if wanted <= self._position:
                self._waiter.wake(activity)

    def reached(self, timestamp: int, seconds: float) -> bool:
        """Wait until the commit at a timestamp was heard, or so long; return whether it was."""
        deadline = self._waiter.monotonic() + seconds
        awaited = timestamp, self._waiter.current
        self._awaited.append(awaited)
        try:
            while self._position < timestamp and self._waiter.monotonic() < deadline:
                self._waiter.wait(deadline)
        finally:
            self._awaited.remove(awaited)
        return self._position >= timestamp

    def _see_to_it(self) -> None:
        if self._task is None:
            self._task = self._spawn(self._keep_up)
        else:
            self._waiter.wake(self._task)

    def _keep_up(self) -> None:
        """Have all zones asked. A task."""
        while self.has_listeners:
            self._waiter.wait(self._waiter.monotonic() + self.ask())
        self._task = None
        self.ask()
