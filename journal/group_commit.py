"""What a replica has to do on its disk, done in order: whatever has been collected is one write."""

from __future__ import annotations

import logging
from collections.abc import Callable

import msgspec

from dsql.disk.pace import Pace
from journal.codec import Message
from journal.disk_threads import DiskWork
from journal.log import DiskFullError, Log
from journal.messages import AppendReply, AppendStatus
from journal.opening import LogOpener
from journal.replica import Clear, Cut, Output, Reply, SavePromise, Trim, Write
from journal.segment import Frame

log = logging.getLogger(__name__)

_QUICK_SECONDS = 0.001  # some times what it takes on a busy machine to be woken by a thread
_QUICK_BYTES_MAX = 256 * 1024
_STALL_SECONDS = 0.05  # disks of shared machines take some milliseconds now and then
_DISTRUST_SECONDS = 30.0  # after a stall


class Seal(msgspec.Struct, frozen=True, gc=False):
    """Begin a new segment."""


Respond = Callable[[Message], None]
Work = list[tuple[Output | Seal, Respond]]
Replies = list[tuple[Reply, Respond]]


class RefusedError(Exception):
    """The disk is full; `replies` say so where they must."""

    def __init__(self, replies: Replies) -> None:
        super().__init__("disk full")
        self.replies = replies


class GroupCommit:
    """Does work on `disk`. `full` tells that it was full when last something was to be written there.

    `repaired` counts the logs that were lost and have become whole again.
    """

    def __init__(self, name: str, disk: Log, threads: DiskWork, opener: LogOpener) -> None:
        self.disk = disk
        self.full = False
        self.repaired = 0
        self._name = name
        self._threads = threads
        self._opener = opener
        self._pace = Pace()
        self._trusted_from = 0.0  # by the time of `threads`

    def is_quick(self, work: Work) -> bool:
        """Return whether work is most likely done sooner than the event loop could be woken by its end."""
        return self._pace.seconds < _QUICK_SECONDS and _is_small(work)

    @property
    def is_trusted(self) -> bool:
        """Whether the disk has made nobody wait of late."""
        return self._threads.time() >= self._trusted_from

    def perform(self, work: Work) -> Replies:
        """Do the changes, frames with nothing between them at once; return the replies that are now true.

        Raises RefusedError, SyncFailedError, CorruptionError.
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
            self._had_no_room(error)
            # What follows a write that did not fit has no place either.
            raise RefusedError(replies[:true] + refused(replies[true:])) from None
        return replies

    def _change(self, output: SavePromise | Cut | Trim | Clear | Seal) -> None:
        if isinstance(output, SavePromise):
            self._promise(output)
        elif isinstance(output, Cut):
            self.disk.cut(output.last)
        elif isinstance(output, Clear):
            self.disk.clear(output.first)
        elif isinstance(output, Trim):
            self.disk.trim(output.first)
        else:
            self.disk.seal()

    def _promise(self, output: SavePromise) -> None:
        whole_before = self.disk.promise.whole
        self.disk.save_promise(output.promise)
        self._had_room()
        if output.promise.whole and not whole_before:
            log.warning("%s: the log is complete again and counts", self._name)
            self._opener.went_well()
            self.repaired += 1

    def _write(self, frames: list[Frame]) -> None:
        if frames:
            began = self._threads.time()
            self.disk.write(frames)
            ended = self._threads.time()
            took = ended - began
            if took > _STALL_SECONDS:
                self._trusted_from = ended + _DISTRUST_SECONDS
            self._pace.observe(min(took, 10 * _QUICK_SECONDS))
            self._had_room()

    def _had_room(self) -> None:
        if self.full:
            log.warning("%s: there is room on the disk again", self._name)
            self.full = False

    def _had_no_room(self, error: DiskFullError) -> None:
        if not self.full:
            log.error("%s: %s; appends are refused until there is room", self._name, error)
            self.full = True
            self._opener.make_room()


def refused(replies: Replies) -> Replies:
    """Make appends' answers say that the disk is full.

    There is none to a claim: its promise may not be on disk. The leader claims again. And nothing is said
    of what could be trimmed: the log may have counted as longer.
    """
    found = []
    for reply, respond in replies:
        message = reply.message
        if isinstance(message, AppendReply):
            full = AppendReply(message.epoch, AppendStatus.FULL, message.promised, 0, 0)
            found.append((Reply(full), respond))
    return found


def _is_small(work: Work) -> bool:
    """Return whether nothing is to be done but to write a little."""
    size = 0
    for output, _ in work:
        if isinstance(output, Write):
            size += sum(len(frame.data) for frame in output.frames)
        elif not isinstance(output, Reply):
            return False
    return size <= _QUICK_BYTES_MAX
