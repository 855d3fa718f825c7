"""One replica at work: messages from connections, and the disk behind a thread.

While one write runs, what arrives is collected and becomes the next one: the group commit forms by
itself. Where the disk has lately been quick, the write is done on the event loop, at the end of the turn:
a thread would cost more, in processor time and in waiting for it, than the other work that it lets
through meanwhile is worth (a lone client's commits take a quarter longer by it, those of eight a tenth).
Once a disk has stood still, a thread writes for some time, for which the loop waits,
but not for longer than that: who has stalled once stalls again, and a leader has its write beside those of
the other zones. Where the disk is slow, and for whatever else changes files, it is a thread, too.

While the end of the log waits to be replaced on disk, that still holds what a former leader never
committed, under the sequences of what is committed now: nobody is given that.

Nothing that a disk does stops a replica. If it is full, the replica refuses and goes on. If it refuses
a write or a sync, the log is set aside; until there is a new one the replica is silent, and then it is
lost. If something cannot be read, who asked for it waits until it is repaired (`journal.upkeep`), or
gets it elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
import sys

from journal.client import JournalTrimmedError, ReplicaFailedError
from journal.codec import Append, Fetched, LeaderMessage, Message
from journal.disk_threads import DiskWork
from journal.feed import FEED_BYTES, CommittedFeed
from journal.group_commit import GroupCommit, RefusedError, Replies, Respond, Seal, Work, refused
from journal.log import Log
from journal.messages import Applied, AskApplied, Fetch, StartAt
from journal.opening import LogOpener
from journal.replica import Cut, Replica, Reply, Write
from journal.segment import CorruptionError, Frame

log = logging.getLogger(__name__)

_NO_CUT = sys.maxsize
_PATIENCE_SECONDS = 0.003  # for a disk that is quick as a rule


class ReplicaHost:
    """Drives a Replica over a Log. All methods are called on the event loop.

    `opener` has opened the log, and replaces it when its disk has failed. `feed` has the subscribers.
    `failed` is True while there is no log; `ended`, another one for each log, is done when it is given up.
    `damage` is set while something in it is known not to be as it was written, `sound` while it is not.
    """

    def __init__(self, name: str, disk: Log, threads: DiskWork, opener: LogOpener) -> None:
        self.replica = Replica(disk.promise, disk.extent)
        self.failed = False
        self.feed = CommittedFeed(name, self._read_committed)
        self.sound = asyncio.Event()
        self.damage = asyncio.Event()
        self._name = name
        self._threads = threads
        self._opener = opener
        self._loop = asyncio.get_running_loop()
        self._group = GroupCommit(name, disk, threads, opener)
        self._queue: Work = []
        self._running: asyncio.Future[None] | None = None
        self._replacing: asyncio.Task[None] | None = None
        self._closed = False
        self._repaired = 0  # in the files of logs before this one
        self._begin(disk)

    @property
    def repaired(self) -> int:
        """Segments, other files and whole logs that were mended since the process started."""
        return self._repaired + self._group.repaired + self.disk.repaired

    @property
    def full(self) -> bool:
        """True if the disk was full when last something was to be written."""
        return self._group.full

    @property
    def is_quiet(self) -> bool:
        """True while nothing is under way in a log that is sound."""
        busy = self.failed or self._queue or self._running is not None
        return not (busy or self.disk.damaged)

    @property
    def disk(self) -> Log:
        """The log."""
        return self._group.disk

    def receive(self, message: LeaderMessage, respond: Respond) -> None:
        """Handle a leader's message; answers go to `respond`, later. A failed replica is silent."""
        if self.failed:
            return
        if isinstance(message, Fetch):
            self._answer_fetch(message, respond)
            return
        if isinstance(message, AskApplied):
            respond(Applied(self.feed.applied))
            return
        if isinstance(message, Append):
            committed = self.replica.commit
            outputs = self.replica.append(message)
            for output in outputs:
                if isinstance(output, Write):
                    for frame in output.frames:
                        # What is not on disk yet, readers can have only from here.
                        self.feed.recent.add(frame, self._synced)
                elif isinstance(output, Cut):
                    self._forget(output.last)
            if self.replica.commit > committed:
                self.feed.advance(self.replica.commit)
        elif isinstance(message, StartAt):
            outputs = self.replica.start_at(message)
            if outputs:
                self._forget(0)
        else:
            outputs = self.replica.claim(message)
        if outputs:
            self._queue += [(output, respond) for output in outputs]
            self._start()

    def checkpoint(self, sequence: int) -> None:
        """Note what the AZ's storage has; the leader hears of it with the next answer."""
        self.replica.checkpoint = max(self.replica.checkpoint, sequence)

    async def locate(self, timestamp: int) -> int:
        """Return a sequence at or before the first record with at least `timestamp`."""
        behind = self._synced + 1
        located = await self._threads.run(lambda: self.disk.locate(timestamp))
        return max(self.replica.log.first, min(located, behind))

    def seal(self) -> None:
        """Begin a new segment when what was asked for before is done."""
        if not self.failed:
            self._queue.append((Seal(), _to_nobody))
            self._start()

    def noticed(self, damage: CorruptionError) -> None:
        """Something cannot be read; what is damaged, `disk` knows."""
        if not self.damage.is_set():
            log.error("%s: %s; it is to be repaired", self._name, damage)
            self.sound.clear()
            self.damage.set()

    def mended(self) -> None:
        """No damage is known any more."""
        self.damage.clear()
        self.sound.set()

    def fail(self, error: Exception) -> None:
        """Give the log up: whatever is under way with it is forgotten, and was not answered."""
        if not self.failed:
            log.critical("%s: the log is given up: %s", self._name, error, exc_info=error)
            self._end()
            self.feed.restart()
            if not self._closed:
                self._replacing = self._loop.create_task(self._replace(error))

    async def usable(self) -> None:
        """Return when there is a log."""
        while self.failed:
            if self._closed or self._replacing is None:
                raise ReplicaFailedError(self._name)
            await asyncio.wait([self._replacing])

    async def close(self) -> None:
        """Finish the write that runs, then close the log."""
        self._closed = True
        is_open = not self.failed
        if is_open:
            self._end()
        if self._replacing is not None:
            self._replacing.cancel()
            await asyncio.wait([self._replacing])
        if self._running is not None:
            await asyncio.wait([self._running])
        if is_open:
            self.disk.close()
        self.feed.close()

    # The disk

    def _end(self) -> None:
        """Take nothing more, and tell those who lead over this replica."""
        self.failed = True
        self._queue = []
        self.ended.set_result(None)

    def _begin(self, disk: Log) -> None:
        """Stand where the log does."""
        self._group.disk = disk
        self.ended = self._loop.create_future()
        self.replica = Replica(disk.promise, disk.extent)
        self._synced = disk.last_sequence  # up to here the disk holds the replica's log
        self._queued_cut = _NO_CUT  # what is in the queue leaves so much of what the disk holds
        self.mended()
        if disk.damaged:
            self.noticed(CorruptionError("some records are damaged"))
        if not disk.promise.whole:
            log.warning(
                "%s: the log was lost; the other zones' logs restore it before it counts",
                self._name,
            )

    async def _replace(self, error: Exception) -> None:
        if self._running is not None:
            await asyncio.wait([self._running])
        checkpoint = self.replica.checkpoint
        self._repaired += self.disk.repaired
        disk = await self._opener.replace(self.disk, error)
        self._begin(disk)
        self.replica.checkpoint = checkpoint
        self._replacing = None
        self.failed = False

    def _start(self) -> None:
        if self._running is None and self._queue:
            self._running = self._loop.create_future()
            self._loop.call_soon(self._perform_queue)

    def _forget(self, last: int) -> None:
        """What the disk holds behind `last` will be removed there."""
        self.feed.recent.cut(last)
        self._synced = min(self._synced, last)
        self._queued_cut = min(self._queued_cut, last)

    def _perform_queue(self) -> None:
        work, self._queue = self._queue, []
        self._queued_cut = _NO_CUT
        if not self._group.is_quick(work):
            self._threads.submit(lambda: self._group.perform(work), self._performed)
            return
        if not self._group.is_trusted:
            self._threads.submit_patiently(
                lambda: self._group.perform(work), self._performed, _PATIENCE_SECONDS
            )
            return
        replies, failure = None, None
        try:
            replies = self._group.perform(work)
        except Exception as error:
            failure = error
        self._performed(replies, failure)

    def _performed(self, replies: Replies | None, error: Exception | None) -> None:
        assert self._running is not None
        self._running.set_result(None)
        self._running = None
        self._synced = min(self.disk.last_sequence, self._queued_cut)
        if isinstance(error, RefusedError):
            replies = error.replies
            self._reload(replies)
        elif error is not None:
            self.fail(error)
        if replies is None or self.failed:
            return
        for reply, respond in replies:
            respond(reply.message)
        self.replica.log.trim(self.disk.first_sequence)
        self._start()

    def _reload(self, replies: Replies) -> None:
        """Fall back to what is on disk. Everything that came in meanwhile is refused as well."""
        replies += refused(
            [(output, to) for output, to in self._queue if isinstance(output, Reply)]
        )
        self._queue = []
        commit, checkpoint = self.replica.commit, self.replica.checkpoint
        self.replica = Replica(self.disk.promise, self.disk.extent)
        self.replica.commit = min(commit, self.replica.log.last)
        self.replica.checkpoint = checkpoint
        self.feed.recent.cut(self.replica.log.last)
        self._queued_cut = _NO_CUT
        self._synced = self.replica.log.last

    # Reading

    async def _read_committed(self, sequence: int) -> list[Frame]:
        frames = None
        while frames is None:
            if self.failed or sequence > self.replica.commit:  # there is another log since
                await self.feed.reach(sequence)
            frames = await self._try_to_read(self.disk, sequence)
        if not frames:
            raise JournalTrimmedError(f"{self._name}: record {sequence} is not kept any more")
        return frames

    async def _try_to_read(self, disk: Log, sequence: int) -> list[Frame] | None:
        """Return None if that log could not be read, or is not ours any more."""
        # Known before the read: what is committed meanwhile may replace what was read.
        while (last := min(self._synced, self.replica.commit)) < sequence and self._running:
            await asyncio.wait([self._running])
        try:
            read = await self._threads.run(lambda: disk.read(sequence, FEED_BYTES))
        except CorruptionError as damage:
            self.noticed(damage)
            await self.sound.wait()
            return None
        if self._closed:
            raise ReplicaFailedError(self._name)
        if self.failed or disk is not self.disk:
            return None
        return [frame for frame in read if frame.last <= last]

    def _answer_fetch(self, fetch: Fetch, respond: Respond) -> None:
        """Answer with nothing if it cannot be read: the leader asks another replica."""

        def answer(frames: list[Frame] | None, error: Exception | None) -> None:
            if isinstance(error, CorruptionError):
                self.noticed(error)
            known = [one for one in frames or [] if one.last <= last]
            respond(Fetched(fetch.from_sequence, known))

        disk, last = self.disk, self._synced
        first = max(fetch.from_sequence, self.replica.log.first)
        self._threads.submit(lambda: disk.read(first, fetch.bytes_max), answer)


def _to_nobody(message: Message) -> None:
    """Take the answer to what no leader has asked for: there is none."""
