"""A query processor's side of notifications: one feed of the cluster's commits for all who listen in it.

    session --LISTEN--> join(listener, behind) ... every zone --HEARD--> hear(...) of each that listens

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
from adjudicator.zone_connection import ZoneConnection
from dsql.hub.waiter import NEVER, Activity, Waiter
from dsql.transaction.interface import Notification

_RETRY_SECONDS = 0.25  # between two attempts to reach a zone

Reach = Callable[[str], ZoneConnection | None]


class Listener(Protocol):
    """A session that listens. What is called here must not wait."""

    def hear(self, timestamp: int, notification: Notification) -> None:
        """Take in what the commit at a timestamp tells a channel that it listens to."""
        ...

    def forgotten(self) -> None:
        """Something may be missing from now on."""
        ...


class NotificationFeed:
    """Of one query processor.

    `reach(az)` returns the connection to a zone, None if there is none now, and may wait. `spawn` starts
    the task that asks the zones; `latest` is the cluster's clock.
    """

    def __init__(
        self,
        azs: Sequence[str],
        reach: Reach,
        waiter: Waiter,
        spawn: Callable[[Callable[[], None]], Activity],
        latest: Callable[[], int],
    ) -> None:
        self.latest = latest
        self._azs = azs
        self._reach = reach
        self._waiter = waiter
        self._spawn = spawn
        self._listeners: dict[Listener, int] = {}  # and up to where each of them has heard all
        self._channels: dict[str, dict[Listener, None]] = {}
        self._name = b""
        self._position = 0
        self._asked: dict[str, ZoneConnection] = {}
        self._forgetful: set[str] = set()  # zones whose journals begin behind the position
        self._task: Activity | None = None
        self._awaited: list[tuple[int, Activity | None]] = []

    # ------------------------------------------------------------ from sessions

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
            self._waiter.wake(self._task)

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

    # ------------------------------------------------------------ adjudicator.zone_connection.Feed

    def said(self, az: str, feed: bytes, verdict: int, timestamp: int, body: bytes) -> None:
        """See Feed."""
        if feed != self._name:
            return  # an earlier one's, or nobody's any more
        if verdict == Verdict.FORGOTTEN:
            self._forgetful.add(az)
            self._asked.pop(az, None)
            self._waiter.wake(self._task)
            if len(self._forgetful) > len(self._azs) // 2:
                for listener in list(self._listeners):
                    listener.forgotten()
        elif timestamp > self._position:
            self._pass_on(timestamp, heard_notifications(body))
            self._position = timestamp
            self._forgetful.clear()
            for wanted, activity in self._awaited:
                if wanted <= timestamp:
                    self._waiter.wake(activity)

    def lost(self, az: str) -> None:
        """See Feed."""
        self._asked.pop(az, None)
        self._waiter.wake(self._task)

    # ------------------------------------------------------------ inside

    def _pass_on(self, timestamp: int, notifications: Iterable[Notification]) -> None:
        for notification in notifications:
            for listener in list(self._channels.get(notification[1], ())):
                if timestamp > self._listeners[listener]:
                    listener.hear(timestamp, notification)

    def _begin(self, behind: int) -> None:
        """Have a new feed, which begins behind a timestamp."""
        self._name = os.urandom(TRANSACTION_ID_BYTES)
        self._position = behind
        self._asked.clear()
        self._forgetful.clear()
        if self._task is None:
            self._task = self._spawn(self._keep_up)
        else:
            self._waiter.wake(self._task)

    def _keep_up(self) -> None:
        """Have all zones asked, as long as there are listeners. A task."""
        while self._listeners:
            for az in self._azs:
                if az not in self._asked:
                    self._ask(az)
            complete = len(self._asked) == len(self._azs)
            self._waiter.wait(NEVER if complete else self._waiter.monotonic() + _RETRY_SECONDS)
        self._task = None
        for connection in self._asked.values():
            if connection.is_open:
                connection.tell(encode_listen(self._name, 0))
        self._asked.clear()

    def _ask(self, az: str) -> None:
        connection = self._reach(az)
        if connection is not None and self._listeners:
            self._forgetful.discard(az)
            connection.feed = self
            connection.watch(NEVER)
            connection.tell(encode_listen(self._name, self._position))
            if connection.is_open:
                self._asked[az] = connection
