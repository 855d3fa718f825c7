"""One replica at work: messages from connections, the disk behind a thread, the feed to subscribers.

While one write runs, what arrives is collected and becomes the next one: the group commit forms by
itself. Where the disk has lately been quick, the write is done on the event loop, at the end of the turn:
a thread would cost more, in processor time and in waiting for it, than the other work that it lets
through meanwhile is worth. Where the disk is slow, and for whatever else changes files, it is a thread.

Committed frames are fed to subscribers from memory, as soon as the commit index is known and without
waiting for this replica's own disk, or from the segments if the subscriber is behind. While the end of the
log waits to be replaced there, the disk still holds what a former leader never committed, under the
sequences of what is committed now: nobody is given that.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Callable

from journal.client import JournalTrimmedError, ReplicaFailedError
from journal.codec import Append, Fetched, LeaderMessage, Message
from journal.disk_threads import DiskWork
from journal.log import DiskFullError, Log
from journal.messages import AppendReply, AppendStatus, Fetch, StartAt
from journal.replica import Clear, Cut, Output, Replica, Reply, SavePromise, Trim, Write
from journal.segment import Frame
from journal.window import FrameWindow

log = logging.getLogger(__name__)

_RECENT_BYTES = 16 * 1024 * 1024
_FEED_BYTES = 1024 * 1024
_QUICK_SECONDS = 0.000_5  # some times what handing a write to a thread takes
_QUICK_BYTES_MAX = 256 * 1024
_NO_CUT = sys.maxsize

Respond = Callable[[Message], None]
Receive = Callable[[list[Frame]], None]
Work = list[tuple[Output, Respond]]


class _Pace:
    """How quick the disk is.

    The estimate falls quickly and rises slowly: a busy machine makes some waits longer, and a slow disk
    makes all of them longer.
    """

    def __init__(self) -> None:
        self._estimate = 0.0

    @property
    def is_quick(self) -> bool:
        """True if a write may be waited for."""
        return self._estimate < _QUICK_SECONDS

    def observe(self, seconds: float) -> None:
        """Take in how long a write took."""
        above = min(seconds, 10 * _QUICK_SECONDS) - self._estimate
        self._estimate += above / 64 if above > 0 else above / 2


class _Tap:
    """A reader on this event loop. `stalled` is done when it needs frames from disk, or has failed."""

    __slots__ = ("next", "receive", "stalled")

    def __init__(self, sequence: int, receive: Receive, stalled: asyncio.Future[None]) -> None:
        self.next = sequence
        self.receive = receive
        self.stalled = stalled


class ReplicaHost:
    """Drives a Replica over a Log. All methods are called on the event loop.

    `ended` is done once it has failed or was closed.
    """

    def __init__(self, name: str, disk: Log, threads: DiskWork) -> None:
        self.replica = Replica(disk.promise, disk.extent)
        self.failed = False
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._name = name
        self._disk = disk
        self._threads = threads
        self._loop = asyncio.get_running_loop()
        self._pace = _Pace()
        self._queue: Work = []
        self._running: asyncio.Future[None] | None = None
        self._full = False  # the disk, as it was last seen
        self._recent = FrameWindow(_RECENT_BYTES)
        self._synced = disk.last_sequence  # up to here the disk holds the replica's log
        self._queued_cut = _NO_CUT  # what is in the queue leaves so much of what the disk holds
        self._waiters: list[asyncio.Future[None]] = []
        self._taps: list[_Tap] = []
        if not disk.promise.whole:
            log.warning(
                "%s: the log was lost; the other zones' logs restore it before it counts", name
            )

    def receive(self, message: LeaderMessage, respond: Respond) -> None:
        """Handle a leader's message; answers go to `respond`, later. A failed replica is silent."""
        if self.failed:
            return
        if isinstance(message, Fetch):
            self._answer_fetch(message, respond)
            return
        if isinstance(message, Append):
            committed = self.replica.commit
            outputs = self.replica.append(message)
            for output in outputs:
                if isinstance(output, Write):
                    for frame in output.frames:
                        # What is not on disk yet, readers can have only from here.
                        self._recent.add(frame, self._synced)
                elif isinstance(output, Cut):
                    self._forget(output.last)
            if self.replica.commit > committed:
                self._wake()
        elif isinstance(message, StartAt):
            outputs = self.replica.start_at(message)
            if outputs:
                self._forget(0)
        else:
            outputs = self.replica.claim(message)
        if outputs:
            self._queue += [(output, respond) for output in outputs]
            self._start()

    async def frames(self, sequence: int) -> AsyncIterator[list[Frame]]:
        """Yield committed frames, the first of which holds `sequence`, for ever."""
        while True:
            while sequence > self.replica.commit:
                if self.failed:
                    raise ReplicaFailedError(self._name)
                waiter = self._loop.create_future()
                self._waiters.append(waiter)
                await waiter
            frames = self._recent_from(sequence) or await self._read_committed(sequence)
            yield frames
            sequence = frames[-1].last + 1

    async def follow(self, sequence: int, receive: Receive) -> None:
        """Call `receive` with what `frames` yields, for ever; and at once, within the call that commits it.

        Raises what `receive` raises.
        """
        tap = _Tap(sequence, receive, self._loop.create_future())
        self._taps.append(tap)
        try:
            self._advance(tap)
            while True:
                await tap.stalled
                frames = await self._read_committed(tap.next)
                tap.next = frames[-1].last + 1
                receive(frames)
                tap.stalled = self._loop.create_future()
                self._advance(tap)
        finally:
            self._taps.remove(tap)

    def checkpoint(self, sequence: int) -> None:
        """Note what the AZ's storage has; the leader hears of it with the next answer."""
        self.replica.checkpoint = max(self.replica.checkpoint, sequence)

    async def locate(self, timestamp: int) -> int:
        """Return a sequence at or before the first record with at least `timestamp`."""
        behind = self._synced + 1
        located = await self._threads.run(lambda: self._disk.locate(timestamp))
        return max(self.replica.log.first, min(located, behind))

    async def close(self) -> None:
        """Finish the write that runs, then close the log."""
        self._fail()
        if self._running is not None:
            await asyncio.wait([self._running])
        self._wake()
        self._disk.close()

    def _fail(self) -> None:
        """Serve nobody any more, and tell those who wait and who lead over this replica."""
        self.failed = True
        self._wake()
        if not self.ended.done():
            self.ended.set_result(None)

    # The disk

    def _start(self) -> None:
        if self._running is None and self._queue and not self.failed:
            self._running = self._loop.create_future()
            self._loop.call_soon(self._perform_queue)

    def _forget(self, last: int) -> None:
        """What the disk holds behind `last` will be removed there."""
        self._recent.cut(last)
        self._synced = min(self._synced, last)
        self._queued_cut = min(self._queued_cut, last)

    def _perform_queue(self) -> None:
        work, self._queue = self._queue, []
        self._queued_cut = _NO_CUT
        if not (self._pace.is_quick and _is_small(work)):
            self._threads.submit(lambda: self._perform(work), self._performed)
            return
        replies, failure = None, None
        try:
            replies = self._perform(work)
        except Exception as error:
            failure = error
        self._performed(replies, failure)

    def _perform(self, work: Work) -> list[tuple[Reply, Respond]]:
        """Do the changes, frames with nothing between them at once; return the replies that are now true.

        Raises _Full.
        """
        replies = [(output, to) for output, to in work if isinstance(output, Reply)]
        passed = true = 0  # so many of the replies
        frames: list[Frame] = []
        try:
            for output, _ in work:
                if isinstance(output, Write):
                    frames += output.frames
                elif isinstance(output, Reply):
                    passed += 1
                    true = true if frames else passed
                else:
                    self._write(frames)
                    frames, true = [], passed
                    self._change(output)
            self._write(frames)
        except DiskFullError as error:
            if not self._full:
                log.error("%s: %s; appends are refused until there is room", self._name, error)
            self._full = True
            # What follows a write that did not fit has no place either.
            raise _Full(replies[:true] + _refuse(replies[true:])) from None
        return replies

    def _change(self, output: SavePromise | Cut | Trim | Clear) -> None:
        if isinstance(output, SavePromise):
            whole_before = self._disk.promise.whole
            self._disk.save_promise(output.promise)
            if output.promise.whole and not whole_before:
                log.warning("%s: the log is complete again and counts", self._name)
        elif isinstance(output, Cut):
            self._disk.cut(output.last)
        elif isinstance(output, Clear):
            self._disk.clear(output.first)
        else:
            self._disk.trim(output.first)

    def _write(self, frames: list[Frame]) -> None:
        if frames:
            began = self._threads.time()
            self._disk.write(frames)
            self._pace.observe(self._threads.time() - began)
            if self._full:
                log.warning("%s: there is room on the disk again", self._name)
                self._full = False

    def _performed(
        self, replies: list[tuple[Reply, Respond]] | None, error: Exception | None
    ) -> None:
        assert self._running is not None
        self._running.set_result(None)
        self._running = None
        self._synced = min(self._disk.last_sequence, self._queued_cut)
        if isinstance(error, _Full):
            replies = error.replies
            self._reload(replies)
        elif error is not None:
            log.critical("%s: replica stopped: %s", self._name, error, exc_info=error)
            self._fail()
            return
        assert replies is not None
        for reply, respond in replies:
            respond(reply.message)
        self.replica.log.trim(self._disk.first_sequence)
        self._start()

    def _reload(self, replies: list[tuple[Reply, Respond]]) -> None:
        """Fall back to what is on disk. Everything that came in meanwhile is refused as well."""
        replies += _refuse(
            [(output, to) for output, to in self._queue if isinstance(output, Reply)]
        )
        self._queue = []
        commit, checkpoint = self.replica.commit, self.replica.checkpoint
        self.replica = Replica(self._disk.promise, self._disk.extent)
        self.replica.commit = min(commit, self.replica.log.last)
        self.replica.checkpoint = checkpoint
        self._recent.cut(self.replica.log.last)
        self._queued_cut = _NO_CUT
        self._synced = self.replica.log.last

    # The feed

    def _recent_from(self, sequence: int) -> list[Frame]:
        return self._recent.since(sequence, self.replica.commit, _FEED_BYTES)

    def _advance(self, tap: _Tap) -> None:
        if tap.stalled.done():
            return
        try:
            if self.failed:
                raise ReplicaFailedError(self._name)
            while tap.next <= self.replica.commit:
                frames = self._recent_from(tap.next)
                if not frames:
                    tap.stalled.set_result(None)
                    return
                tap.next = frames[-1].last + 1
                tap.receive(frames)
        except Exception as error:
            tap.stalled.set_exception(error)

    async def _read_committed(self, sequence: int) -> list[Frame]:
        # Known before the read: what is committed meanwhile may replace what was read.
        while (last := min(self._synced, self.replica.commit)) < sequence and self._running:
            await asyncio.wait([self._running])
        if self.failed:
            raise ReplicaFailedError(self._name)
        read = await self._threads.run(lambda: self._disk.read(sequence, _FEED_BYTES))
        frames = [frame for frame in read if frame.last <= last]
        if not frames:
            raise JournalTrimmedError(f"{self._name}: record {sequence} is not kept any more")
        return frames

    def _answer_fetch(self, fetch: Fetch, respond: Respond) -> None:
        def answer(frames: list[Frame] | None, error: Exception | None) -> None:
            if frames is None:
                log.error("%s: cannot read record %d: %s", self._name, fetch.from_sequence, error)
            else:
                respond(Fetched(fetch.from_sequence, [one for one in frames if one.last <= last]))

        disk, last = self._disk, self._synced
        first = max(fetch.from_sequence, self.replica.log.first)
        self._threads.submit(lambda: disk.read(first, fetch.bytes_max), answer)

    def _wake(self) -> None:
        for tap in self._taps:
            self._advance(tap)
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)


class _Full(Exception):  # noqa: N818 (a signal between the thread and the loop)
    """The disk is full; `replies` say so where they must."""

    def __init__(self, replies: list[tuple[Reply, Respond]]) -> None:
        super().__init__("disk full")
        self.replies = replies


def _is_small(work: Work) -> bool:
    """Return whether nothing is to be done but to write a little."""
    size = 0
    for output, _ in work:
        if isinstance(output, Write):
            size += sum(len(frame.data) for frame in output.frames)
        elif not isinstance(output, Reply):
            return False
    return size <= _QUICK_BYTES_MAX


def _refuse(replies: list[tuple[Reply, Respond]]) -> list[tuple[Reply, Respond]]:
    """Make appends' answers say that the disk is full.

    There is none to a claim: its promise may not be on disk. The leader claims again.
    """
    refused = []
    for reply, respond in replies:
        message = reply.message
        if isinstance(message, AppendReply):
            epoch, promised, checkpoint = message.epoch, message.promised, message.checkpoint
            full = AppendReply(epoch, AppendStatus.FULL, promised, 0, checkpoint)
            refused.append((Reply(full), respond))
    return refused
