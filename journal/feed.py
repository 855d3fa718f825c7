"""Committed frames for a replica's subscribers, in order.

They come from memory, as soon as the commit index is known and without waiting for this replica's own
disk, or from the segments if the subscriber is behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from journal.client import ReplicaFailedError
from journal.segment import Frame
from journal.window import FrameWindow

FEED_BYTES = 1024 * 1024
_RECENT_BYTES = 16 * 1024 * 1024

Receive = Callable[[list[Frame]], None]
HowFar = Callable[[], int]  # the last record that a reader has applied


class _Tap:
    """A reader on this event loop. `stalled` is done when it needs frames from disk, or has failed.

    Not `attached`: it has not been compared with what is committed in this log.
    """

    __slots__ = ("applied", "attached", "next", "receive", "stalled")

    def __init__(
        self, sequence: int, receive: Receive, applied: HowFar, stalled: asyncio.Future[None]
    ) -> None:
        self.attached = False
        self.next = sequence
        self.receive = receive
        self.applied = applied
        self.stalled = stalled


class CommittedFeed:
    """What one replica's subscribers get. `recent` are the newest frames of its log, committed or not.

    `read` returns committed frames from disk, the first of which holds a sequence.
    """

    def __init__(self, name: str, read: Callable[[int], Awaitable[list[Frame]]]) -> None:
        self.commit = 0
        self.applied_elsewhere = -1  # as a reader over a socket has said
        self.recent = FrameWindow(_RECENT_BYTES)
        self._name = name
        self._read = read
        self._loop = asyncio.get_running_loop()
        self._waiters: list[asyncio.Future[None]] = []
        self._taps: list[_Tap] = []
        self._closed = False

    @property
    def applied(self) -> int:
        """How far the reader that applies what it reads has come; -1 if there is none."""
        return max((tap.applied() for tap in self._taps), default=self.applied_elsewhere)

    def advance(self, commit: int) -> None:
        """Everything up to `commit` is committed now: give it to those who wait."""
        self.commit = commit
        for tap in self._taps:
            self._advance(tap)
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def restart(self) -> None:
        """Nothing is known to be committed any more, until it is said again: perhaps something else."""
        self.commit = 0
        self.recent.cut(0)
        for tap in self._taps:
            tap.attached = False
            tap.next = max(1, tap.next - 1)

    def close(self) -> None:
        """End every subscription with ReplicaFailedError."""
        self._closed = True
        self.advance(self.commit)

    async def last_up_to(self, sequence: int) -> int:
        """Return a sequence, or that of the last committed record, once any is known, if it is less."""
        await self.reach(1)
        return min(sequence, self.commit)

    async def reach(self, sequence: int) -> None:
        """Return when a record is committed."""
        while sequence > self.commit:
            if self._closed:
                raise ReplicaFailedError(self._name)
            waiter = self._loop.create_future()
            self._waiters.append(waiter)
            await waiter

    async def frames(self, sequence: int) -> AsyncIterator[list[Frame]]:
        """Yield committed frames, the first of which holds `sequence`, for ever."""
        while True:
            if sequence > self.commit:
                await self.reach(sequence)
            frames = self._recent_from(sequence) or await self._read(sequence)
            yield frames
            sequence = frames[-1].last + 1

    async def follow(self, sequence: int, receive: Receive, applied: HowFar) -> None:
        """Call `receive` with what `frames` yields, for ever; and at once, within the call that commits it.

        If less is committed, begins with what was committed last. What a log that is replaced had given
        last comes again. Raises what `receive` raises.
        """
        tap = _Tap(sequence, receive, applied, self._loop.create_future())
        self._taps.append(tap)
        try:
            self._advance(tap)
            while True:
                await tap.stalled
                frames = await self._read(tap.next)
                tap.next = frames[-1].last + 1
                receive(frames)
                tap.stalled = self._loop.create_future()
                self._advance(tap)
        finally:
            self._taps.remove(tap)

    def _recent_from(self, sequence: int) -> list[Frame]:
        return self.recent.since(sequence, self.commit, FEED_BYTES)

    def _advance(self, tap: _Tap) -> None:
        if tap.stalled.done():
            return
        try:
            if self._closed:
                raise ReplicaFailedError(self._name)
            if not tap.attached and self.commit:
                tap.attached = True
                tap.next = min(tap.next, self.commit)
            while tap.next <= self.commit:
                frames = self._recent_from(tap.next)
                if not frames:
                    tap.stalled.set_result(None)
                    return
                tap.next = frames[-1].last + 1
                tap.receive(frames)
        except Exception as error:
            tap.stalled.set_exception(error)
