"""One replica's log on disk: segments, and the state file that says how far they must reach. Blocking.

Three rules keep what was acknowledged. A segment is complete on disk before its successor is created,
so only the last one can be torn. A write that does not fit on the disk is taken back as a whole. And
after a failed sync nobody knows what the disk holds, whatever the page cache says: such a log is never
believed again, and is set aside (`journal.set_aside`) for a new one that the other replicas fill.

Each write is one system call that returns when the data is on disk (RWF_DSYNC). A file that grows with
each write would have its new length written each time as well, which costs half as much again. So a
write that comes to the end of the file's blocks also puts zeros behind itself, and those that follow
overwrite them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from dsql.disk.files import SYSTEM_FILES, Files
from journal.extent import EMPTY_LOG, LogExtent
from journal.messages import Extent
from journal.recovery import LogDamagedError, Recovery
from journal.replica import Promise
from journal.segment import Frame, sync_mark
from journal.segment_file import SegmentFile
from journal.segment_repair import Replacement
from journal.segments import Segments
from journal.state_file import StateFile

SEGMENT_BYTES = 64 * 1024 * 1024
# zeros behind a write: as many as the log is long, within these bounds
_AHEAD_BYTES_MIN = 16 * 1024
_AHEAD_BYTES_MAX = 256 * 1024
_SECRET_BYTES = 8
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # the last is a quota as well: RLIMIT_FSIZE
_BROKEN = (errno.EIO, errno.EUCLEAN, errno.EBADMSG, errno.ENXIO)


class DiskFullError(Exception):
    """A write did not fit; the log is as it was before."""


class SyncFailedError(Exception):
    """The disk refused a write or a sync: this log is of no use any more."""


class Log:
    """The log in `directory`, recovered or created. `extent` and `promise` tell where the replica stands.

    With `expected`, there has been a log before: if it is missing, the new one knows that it is lost.
    Raises LogDamagedError for one that cannot be proved whole, DiskFullError, BlockingIOError if another
    process has it open, and OSError for what has nothing to do with the disk.
    """

    def __init__(
        self,
        directory: Path,
        *,
        expected: bool = False,
        segment_bytes: int = SEGMENT_BYTES,
        files: Files = SYSTEM_FILES,
    ) -> None:
        self._files = files
        self._directory = directory
        self._segment_bytes = segment_bytes
        self._extent = LogExtent(EMPTY_LOG)
        self._mark = b""  # all up to here is durable; the next write begins with it
        self._marking = threading.Lock()  # between those who make the log shorter and `settle`
        self._closed = False
        self.repaired = 0  # files, since it was opened
        with contextlib.ExitStack() as undo, self._opening():
            files.make_directory(directory)
            self._lock = files.open(directory / "lock", os.O_RDWR | os.O_CREAT)
            undo.callback(files.close, self._lock)
            files.lock(self._lock)
            if files.exists(self._failure_mark):
                raise LogDamagedError(f"{directory}: the disk failed here before", [])
            self._state = StateFile(files, directory / "state")
            undo.callback(self._state.close)
            self._open(undo, expected=expected)
            undo.pop_all()

    @property
    def extent(self) -> Extent:
        """What the log spans."""
        return self._extent.describe(0)

    @property
    def promise(self) -> Promise:
        """The promise on disk."""
        assert self._state.promise is not None, "an open log has one"
        return self._state.promise

    @property
    def last_sequence(self) -> int:
        """The last record."""
        return self._extent.last

    @property
    def first_sequence(self) -> int:
        """The first record that is still kept."""
        return self._extent.first

    @property
    def kept_bytes(self) -> int:
        """How much is kept, as long as some zone's storage may need it."""
        return self._segments.size

    @property
    def damaged(self) -> list[tuple[int, int]]:
        """The spans of the segments that are not as they were written, as far as it is known."""
        return [(segment.first, segment.last) for segment in self._segments.damaged]

    def grows(self, first: int) -> bool:
        """Return whether the segment that begins with `first` is the one that is written to."""
        return self._segments.grows(first)

    # Writing

    def write(self, frames: list[Frame]) -> None:
        """Add frames at the end; they are on disk on return. Raises DiskFullError, SyncFailedError."""
        mark = self._mark
        data = b"".join([mark, *[frame.data for frame in frames]])
        segment = self._segments.newest
        if segment.last >= segment.first and segment.end + len(data) > self._segment_bytes:
            segment = self._roll()
        after = sync_mark(frames[-1].last, self._segments.first, self._state.secret)
        self._write_durably(segment, data, after)
        with self._segments.mutex:
            offset = segment.end + len(mark)
            for frame in frames:
                segment.note(frame, offset, self._extent.last_timestamp)
                self._extent.add(frame)
                offset += len(frame.data)
            segment.end = offset
        self._mark = after

    def cut(self, last: int) -> None:
        """Remove every record behind `last`, which ends a frame. Raises CorruptionError, SyncFailedError.

        The reach is shortened first, or what is missing could be taken for damage; and later segments are
        gone before the end of an earlier one is, or there could be a gap.
        """
        with _explained():
            segment = self._segments.ending_with(last)
            end, timestamp = segment.find(last + 1)
            self._shorten(last, self._segments.first)
            self._extent.cut(last, timestamp)
            self._segments.cut(segment, last, end)

    def trim(self, first: int) -> None:
        """Delete the segments that hold nothing from `first` on.

        The record before `first` stays: the timestamp and epoch of the last record must be known always.
        """
        with _explained():
            kept = self._segments.first_without(first - 1)
            if kept > self._segments.first:
                self._shorten(self._extent.last, kept)
                self._segments.remove_before(kept)
                self._extent.trim(kept)

    def clear(self, first: int) -> None:
        """Remove every record; the next one will be `first`. Raises SyncFailedError."""
        with _explained():
            self._shorten(first - 1, first)
            self._segments.remove_all()
            self._extent = LogExtent(Extent(first, first - 1, 0, [], 0))
            try:
                self._segments.create(first, 0)
            except OSError as error:  # a log without a segment is of no use
                raise SyncFailedError(str(error)) from error

    def save_promise(self, promise: Promise) -> None:
        """Replace the promise, durably. Raises DiskFullError, SyncFailedError."""
        with _explained():
            self._state.save_promise(promise)

    def settle(self) -> None:
        """Have it known how far the log reaches now, also after a crash of the machine."""
        with _explained(), self._marking:
            if not self._closed:
                self._state.note_durably(self._mark)

    def seal(self) -> None:
        """Begin a new segment, so that the last one can be written anew. Raises DiskFullError."""
        if self._segments.newest.last >= self._segments.newest.first:
            self._roll()

    def mark_failed(self) -> None:
        """Have this log never opened again, if the disk still takes that much."""
        with contextlib.suppress(OSError):
            self._files.close(self._files.open(self._failure_mark, os.O_WRONLY | os.O_CREAT))

    def close(self) -> None:
        """Close the files and let others open the log."""
        with self._marking:
            self._closed = True
            with contextlib.suppress(OSError):
                self._state.shorten(self._mark)
                self._segments.newest.truncate()
            self._segments.close()
            self._state.close()
            self._files.close(self._lock)

    # Reading

    def read(self, from_sequence: int, bytes_max: int) -> list[Frame]:
        """Return frames in order, the first of which holds `from_sequence`; empty if it is not here.

        At least one frame, and then not more than about `bytes_max` bytes. Raises CorruptionError.
        """
        return self._segments.read(from_sequence, bytes_max)

    def locate(self, timestamp: int) -> int:
        """Return a sequence at or before the first record with at least `timestamp`."""
        return self._segments.locate(timestamp)

    # Checking and repairing

    def check(self, sequence: int, bytes_max: int) -> int:
        """Read about `bytes_max` bytes from a record on; return the record to go on with.

        Raises CorruptionError; the segment counts as damaged from then on.
        """
        frames = self.read(sequence, bytes_max)
        with _explained():
            self.repaired += not self._segments.mend_header(sequence)
        return frames[-1].last + 1 if frames else max(sequence, self.first_sequence)

    def check_state(self) -> None:
        """Read the state file back, and write it anew if it is not what it should be."""
        with _explained(), self._marking:
            self.repaired += not (self._closed or self._state.mend(self._mark))

    def begin_replacement(self, first: int) -> Replacement | None:
        """Return a new file for the segment that begins with `first`, to be filled with its frames.

        None if there is no such segment, or it is the last one. Raises DiskFullError, SyncFailedError.
        """
        with _explained():
            return self._segments.begin_replacement(first, self._extent, self._state.secret)

    def replace(self, replacement: Replacement) -> bool:
        """Put the new file in the place of the old one; False if that is not as it was."""
        with _explained():
            replaced = self._segments.replace(replacement)
        self.repaired += replaced
        return replaced

    # Files

    @property
    def _failure_mark(self) -> Path:
        return self._directory / "failed"

    def _open(self, undo: contextlib.ExitStack, *, expected: bool) -> None:
        """Recover, and begin the state file and the first segment where there are none."""
        known = self._state.promise
        reach = self._state.reach if known is not None else None
        recovery = Recovery(self._files, self._directory, reach, self._state.secret)
        self._segments = Segments(self._files, self._directory, recovery.segments)
        undo.callback(self._segments.close)
        recovery.run()
        self._extent = recovery.extent
        self.repaired = recovery.repaired
        last, first = self._extent.last, self._extent.first
        secret = self._state.secret
        if known is None:
            secret = int.from_bytes(os.urandom(_SECRET_BYTES), "little")
            is_new = not expected and last == 0
            # What was promised is not known, but that it was no less than what was written.
            promise = Promise(self._extent.last_epoch, b"", is_new)
            self._state.create(secret, promise, sync_mark(last, first, secret))
        elif reach is None or known.epoch < self._extent.last_epoch:
            raise recovery.damage("the state file does not say what was promised and written")
        self._mark = sync_mark(last, first, secret)
        self.check_state()
        if not self._segments:
            self._segments.create(last + 1, 0)
        else:
            self._segments.newest.complete()
            self._segments.sync_names()

    @contextlib.contextmanager
    def _opening(self) -> Iterator[None]:
        """Tell a disk that cannot be read or is full from what is no fault of the disk's."""
        try:
            yield
        except OSError as error:
            if error.errno in _BROKEN:
                raise LogDamagedError(f"{self._directory}: {error}", []) from error
            if error.errno in _FULL:
                raise DiskFullError(str(error)) from error
            raise

    def _shorten(self, last: int, first: int) -> None:
        """Let the log reach from `first` to `last` only, before it does."""
        with self._marking:
            self._mark = sync_mark(last, first, self._state.secret)
            self._state.shorten(self._mark)

    def _roll(self) -> SegmentFile:
        with _explained():
            self._segments.newest.complete()
            self._state.note_durably(self._mark)
            return self._segments.create(self._extent.last + 1, self._extent.last_timestamp)

    def _write_durably(self, segment: SegmentFile, data: bytes, after: bytes) -> None:
        """Write behind the segment's end, and note that the log reaches so far."""
        if segment.end + len(data) > segment.allocated:
            data += bytes(self._zeros_after(segment.end + len(data)))
        written = 0
        try:
            while written < len(data):
                rest = data if not written else data[written:]
                offset = segment.end + written
                written += self._files.pwrite_durably(segment.descriptor, rest, offset)
            self._state.note(after)
        except OSError as error:
            explained = _explain(error)
            if isinstance(explained, DiskFullError):
                with _explained():
                    segment.truncate()
            raise explained from error
        segment.allocated = max(segment.allocated, segment.end + len(data))

    def _zeros_after(self, end: int) -> int:
        ahead = min(max(end, _AHEAD_BYTES_MIN), _AHEAD_BYTES_MAX)
        return max(0, min(ahead, self._segment_bytes - end))


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Raise what the operating system says as DiskFullError or SyncFailedError."""
    try:
        yield
    except OSError as error:
        raise _explain(error) from error


def _explain(error: OSError) -> Exception:
    return DiskFullError(str(error)) if error.errno in _FULL else SyncFailedError(str(error))
