"""One replica's log on disk: segments and the promise. Blocking.

Three rules keep what was acknowledged. A segment is complete on disk before its successor is created,
so only the last one can be torn. A write that does not fit on the disk is taken back as a whole. And
after a failed sync nobody knows what the disk holds: the log marks itself as failed and is never opened
again; the replica has to be replaced.

Each write is one system call that returns when the data is on disk (RWF_DSYNC). A file that grows with
each write would have its new length written each time as well, which costs half as much again. So a
write that comes to the end of the file's blocks also puts zeros behind itself, and those that follow
overwrite them.
"""

from __future__ import annotations

import bisect
import contextlib
import errno
import os
import threading
from pathlib import Path

import google_crc32c
import msgspec

from dsql.control.atomic_file import PRIVATE, write_atomically
from dsql.disk.files import SYSTEM_FILES, Files, read_file, write_all
from journal.extent import EMPTY_LOG, LogExtent
from journal.messages import Extent
from journal.replica import Promise
from journal.segment import (
    HEADER_BYTES,
    CorruptionError,
    Frame,
    parse_frame,
    parse_header,
    recover_segment,
    segment_header,
    sync_mark,
)

SEGMENT_BYTES = 64 * 1024 * 1024
_INDEX_BYTES = 64 * 1024  # a position is remembered this often
# zeros behind a write: as many as the log is long, within these bounds
_AHEAD_BYTES_MIN = 16 * 1024
_AHEAD_BYTES_MAX = 256 * 1024
_promise_decoder = msgspec.msgpack.Decoder(Promise)


class DiskFullError(Exception):
    """A write did not fit; the log is as it was before."""


class SyncFailedError(Exception):
    """A sync failed, now or in an earlier life of this log; the replica is of no use any more."""


class _Segment:
    """One file: its span, its end, and (first sequence, offset, timestamp before) every so often."""

    def __init__(self, files: Files, path: Path, first: int) -> None:
        self.path = path
        self.first = first
        self.last = first - 1
        self.end = HEADER_BYTES
        self.allocated = 0  # the file's length: zeros from `end` on
        self.positions: list[tuple[int, int, int]] = []
        self.descriptor = files.open(path, os.O_RDWR | os.O_CREAT)
        self._files = files
        self._users = 1  # the log, and each read that is under way

    def note(self, frame: Frame, offset: int, previous_timestamp: int) -> None:
        """Take a frame into the span."""
        if not self.positions or offset - self.positions[-1][1] >= _INDEX_BYTES:
            self.positions.append((frame.first, offset, previous_timestamp))
        self.last = frame.last

    def offset_before(self, sequence: int) -> int:
        """Return the offset of a frame at or before the one that holds `sequence`."""
        index = bisect.bisect_right(self.positions, sequence, key=lambda entry: entry[0])
        return self.positions[index - 1][1] if index else HEADER_BYTES

    def hold(self) -> None:
        """Keep the file open until one `close` more."""
        self._users += 1

    def close(self) -> None:
        """Close the file, if nobody else reads it."""
        self._users -= 1
        if not self._users:
            self._files.close(self.descriptor)

    def remove(self) -> None:
        """Close the file and delete it."""
        self.close()
        self._files.unlink(self.path)

    def truncate(self) -> None:
        """Make the file end where its frames do."""
        self._files.truncate(self.descriptor, self.end)
        self.allocated = self.end


class Log:
    """The log in `directory`, recovered or created. `extent` and `promise` tell where the replica stands.

    With `expected`, there has been a log before: if it is missing, the new one knows that it is lost.
    Raises CorruptionError, SyncFailedError, or BlockingIOError if another process has it open.
    """

    def __init__(
        self,
        directory: Path,
        *,
        expected: bool = False,
        segment_bytes: int = SEGMENT_BYTES,
        files: Files = SYSTEM_FILES,
    ) -> None:
        files.make_directory(directory)
        self._files = files
        self._directory = directory
        self._segment_bytes = segment_bytes
        self._mutex = threading.Lock()  # between the writing thread and readers
        self._segments: list[_Segment] = []
        self._lock = files.open(directory / "lock", os.O_RDWR | os.O_CREAT)
        try:
            files.lock(self._lock)
            if files.exists(self._failure_mark):
                raise SyncFailedError(
                    f"{directory}: a sync failed here before; once the disk is sound, delete this folder, "
                    "and the other zones restore it"
                )
            promise = self._read_promise()
            is_here = self._recover()
            if promise is None or not is_here:
                is_new = promise is None and not expected
                known = promise or Promise(0, b"")
                self.save_promise(Promise(known.epoch, known.candidate, is_new))
            else:
                self.promise = promise
        except BaseException:
            self.close()
            raise

    @property
    def extent(self) -> Extent:
        """What the log spans."""
        return self._extent.describe(0)

    @property
    def last_sequence(self) -> int:
        """The last record."""
        return self._extent.last

    @property
    def first_sequence(self) -> int:
        """The first record that is still kept."""
        return self._segments[0].first

    # Writing

    def write(self, frames: list[Frame]) -> None:
        """Add frames at the end; they are on disk on return. Raises DiskFullError, SyncFailedError."""
        mark = sync_mark(self._extent.last)
        data = b"".join([mark, *[frame.data for frame in frames]])
        segment = self._segments[-1]
        if segment.last >= segment.first and segment.end + len(data) > self._segment_bytes:
            segment = self._roll()
        self._write_durably(segment, data)
        with self._mutex:
            offset = segment.end + len(mark)
            for frame in frames:
                segment.note(frame, offset, self._extent.last_timestamp)
                self._extent.add(frame)
                offset += len(frame.data)
            segment.end = offset

    def cut(self, last: int) -> None:
        """Remove every record behind `last`, which ends a frame."""
        with self._mutex:
            while self._segments[-1].first > last + 1:
                dropped = self._segments.pop()
                dropped.remove()
            segment = self._segments[-1]
            segment.end = self._find(segment, last + 1)
            segment.last = last
            segment.positions = [entry for entry in segment.positions if entry[0] <= last]
            self._extent.cut(last)
        self._complete(segment)
        self._sync_directory()

    def trim(self, first: int) -> None:
        """Delete the segments that hold nothing from `first` on."""
        with self._mutex:
            while len(self._segments) > 1 and self._segments[0].last < first:
                dropped = self._segments.pop(0)
                dropped.remove()
            self._extent.trim(self._segments[0].first)

    def clear(self, first: int) -> None:
        """Remove every record; the next one will be `first`. Raises SyncFailedError."""
        with self._mutex:
            while self._segments:
                dropped = self._segments.pop()
                dropped.remove()
            try:
                self._segments.append(self._new_segment(first))
            except DiskFullError as error:  # a log without a segment is of no use
                raise SyncFailedError(str(error)) from error

    def save_promise(self, promise: Promise) -> None:
        """Replace the promise, durably."""
        body = msgspec.msgpack.encode(promise)
        content = google_crc32c.value(body).to_bytes(4, "little") + body
        write_atomically(self._promise_path, content, PRIVATE, self._files)
        self.promise = promise

    def close(self) -> None:
        """Close the files and let others open the log."""
        if self._segments:
            with contextlib.suppress(OSError):
                self._segments[-1].truncate()
        for segment in self._segments:
            segment.close()
        self._segments = []
        self._files.close(self._lock)

    # Reading

    def read(self, from_sequence: int, bytes_max: int) -> list[Frame]:
        """Return frames in order, the first of which holds `from_sequence`; empty if it is not here.

        At least one frame, and then not more than about `bytes_max` bytes.
        """
        with self._mutex:
            segment = self._segment_of(from_sequence)
            if segment is None:
                return []
            offset = segment.offset_before(from_sequence)
            end = segment.end
            segment.hold()
        try:
            return self._read_frames(segment.descriptor, offset, end, from_sequence, bytes_max)
        finally:
            with self._mutex:
                segment.close()

    def locate(self, timestamp: int) -> int:
        """Return a sequence at or before the first record with at least `timestamp`."""
        with self._mutex:
            found = self._segments[0].first
            for segment in self._segments:
                for first, _, previous_timestamp in segment.positions:
                    if previous_timestamp >= timestamp:
                        return found
                    found = first
            return found

    def _segment_of(self, sequence: int) -> _Segment | None:
        index = bisect.bisect_right(self._segments, sequence, key=lambda segment: segment.first)
        if not index or sequence > self._segments[index - 1].last:
            return None
        return self._segments[index - 1]

    def _read_frames(
        self, descriptor: int, offset: int, end: int, sequence: int, bytes_max: int
    ) -> list[Frame]:
        frames: list[Frame] = []
        collected = 0
        chunk_bytes = bytes_max + _INDEX_BYTES
        while offset < end and collected < bytes_max:
            data = self._files.pread(descriptor, min(chunk_bytes, end - offset), offset)
            position = 0
            while collected < bytes_max:
                parsed = parse_frame(data, position)
                if parsed is None:
                    break
                position += len(parsed.data)
                if parsed.count and parsed.last >= sequence:
                    frames.append(parsed)
                    collected += len(parsed.data)
            if position == 0:  # a frame that is longer than the chunk, or a bad one
                if len(data) == end - offset:
                    raise CorruptionError(f"{self._directory}: bad frame at offset {offset}")
                chunk_bytes *= 4
            offset += position
        return frames

    def _find(self, segment: _Segment, sequence: int) -> int:
        """Return the offset at which the frame that begins with `sequence` starts, or the end."""
        offset = segment.offset_before(sequence)
        data = self._files.pread(segment.descriptor, segment.end - offset, offset)
        position = 0
        while position < len(data):
            parsed = parse_frame(data, position)
            if parsed is None:
                raise CorruptionError(f"{segment.path}: bad frame at offset {offset + position}")
            if parsed.count and parsed.first >= sequence:
                assert parsed.first == sequence, "logs part at a boundary between frames"
                break
            position += len(parsed.data)
        return offset + position

    # Files

    @property
    def _promise_path(self) -> Path:
        return self._directory / "promise"

    @property
    def _failure_mark(self) -> Path:
        return self._directory / "failed"

    def _read_promise(self) -> Promise | None:
        try:
            data = read_file(self._files, self._promise_path)
        except FileNotFoundError:
            return None
        body = data[4:]
        if data[:4] != google_crc32c.value(body).to_bytes(4, "little"):
            raise CorruptionError(f"{self._promise_path}: bad checksum")
        return _promise_decoder.decode(body)

    def _recover(self) -> bool:
        """Read the segments; return False if there is none and the log begins anew."""
        names = self._files.list(self._directory)
        paths = [self._directory / name for name in names if name.endswith(".segment")]
        if not paths:
            self._extent = LogExtent(EMPTY_LOG)
            self._create_segment(1)
            return False
        for path in paths:
            self._recover_file(path, last=path == paths[-1])
        return True

    def _recover_file(self, path: Path, *, last: bool) -> None:
        data = read_file(self._files, path)
        first = parse_header(data)
        expected = self._segments[-1].last + 1 if self._segments else int(path.stem)
        if first is None and last:  # torn while it was created, hence empty
            self._files.unlink(path)
            self._create_segment(expected)
            return
        if first is None or first != expected:
            raise CorruptionError(f"{path}: holds {first} instead of {expected}")
        recovered = recover_segment(data, str(path), last=last)
        if not self._segments:
            self._extent = LogExtent(Extent(first, first - 1, 0, [], 0))
        segment = _Segment(self._files, path, first)
        self._segments.append(segment)
        for offset, frame in recovered.frames:
            segment.note(frame, offset, self._extent.last_timestamp)
            self._extent.add(frame)
        segment.end = recovered.end
        if last:
            self._complete(segment)

    def _roll(self) -> _Segment:
        self._complete(self._segments[-1])
        return self._create_segment(self._extent.last + 1)

    def _create_segment(self, first: int) -> _Segment:
        segment = self._new_segment(first)
        with self._mutex:
            self._segments.append(segment)
        return segment

    def _new_segment(self, first: int) -> _Segment:
        if not self._segments:
            self._extent = LogExtent(Extent(first, first - 1, 0, [], 0))
        path = self._directory / f"{first:020d}.segment"
        segment = _Segment(self._files, path, first)
        try:
            self._files.truncate(segment.descriptor, 0)
            write_all(self._files, segment.descriptor, segment_header(first), 0)
        except OSError as error:
            segment.remove()
            raise _explain(error) from error
        self._sync(segment.descriptor)
        self._sync_directory()
        return segment

    def _write_durably(self, segment: _Segment, data: bytes) -> None:
        if segment.end + len(data) > segment.allocated:
            data += bytes(self._zeros_after(segment.end + len(data)))
        written = 0
        try:
            while written < len(data):
                rest = data if not written else data[written:]
                offset = segment.end + written
                written += self._files.pwrite_durably(segment.descriptor, rest, offset)
        except OSError as error:
            explained = _explain(error)
            if isinstance(explained, SyncFailedError):
                self._mark_failed()
            else:
                segment.truncate()
            raise explained from error
        segment.allocated = max(segment.allocated, segment.end + len(data))

    def _zeros_after(self, end: int) -> int:
        ahead = min(max(end, _AHEAD_BYTES_MIN), _AHEAD_BYTES_MAX)
        return max(0, min(ahead, self._segment_bytes - end))

    def _complete(self, segment: _Segment) -> None:
        """Make the file end where its frames do, durably."""
        segment.truncate()
        self._sync(segment.descriptor)

    def _sync(self, descriptor: int) -> None:
        try:
            self._files.datasync(descriptor)
        except OSError as error:
            self._mark_failed()
            raise SyncFailedError(f"{self._directory}: {error}") from error

    def _sync_directory(self) -> None:
        self._files.sync_directory(self._directory)

    def _mark_failed(self) -> None:
        self._files.close(self._files.open(self._failure_mark, os.O_WRONLY | os.O_CREAT))


def _explain(error: OSError) -> Exception:
    # EFBIG is a quota as well: RLIMIT_FSIZE.
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return DiskFullError(str(error)) if full else SyncFailedError(str(error))
