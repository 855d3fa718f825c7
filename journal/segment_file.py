"""One segment of a log on disk: its span, where its frames are, and reading them."""

from __future__ import annotations

import bisect
import errno
import os
from pathlib import Path

from dsql.disk.files import Files, read_up_to_damage
from journal.segment import (
    FRAME_BODY_BYTES_MAX,
    HEADER_BYTES,
    MARK_BYTES,
    CorruptionError,
    Frame,
    parse_frame,
    segment_header,
)

_FRAME_BYTES_MAX = FRAME_BODY_BYTES_MAX + 2 * MARK_BYTES  # with its own header and a mark before it
INDEX_BYTES = 64 * 1024  # a position is remembered this often
SUFFIX = ".segment"
NEW_SUFFIX = ".new"  # one that is being written anew


class SegmentFile:
    """One file: its span, its end, and (first sequence, offset, timestamp before) every so often.

    `previous_timestamp` is that of the record before it. `damaged` tells that it does not hold all of its
    span, or not as it was written.
    """

    def __init__(self, files: Files, path: Path, first: int, previous_timestamp: int) -> None:
        self.path = path
        self.first = first
        self.last = first - 1
        self.previous_timestamp = previous_timestamp
        self.end = HEADER_BYTES
        self.allocated = 0  # the file's length: zeros from `end` on
        self.positions: list[tuple[int, int, int]] = []
        self.damaged = False
        self.descriptor = files.open(path, os.O_RDWR | os.O_CREAT)
        self._files = files
        self._users = 1  # the log, and each read that is under way

    def note(self, frame: Frame, offset: int, previous_timestamp: int) -> None:
        """Take a frame into the span."""
        positions = self.positions
        if (
            not positions
            or offset - positions[-1][1] >= INDEX_BYTES
            or frame.first != self.last + 1
        ):
            positions.append((frame.first, offset, previous_timestamp))
        self.last = frame.last

    def cut(self, last: int, end: int) -> None:
        """Let the span end with `last`, at offset `end`."""
        self.last = last
        self.end = end
        self.positions = [entry for entry in self.positions if entry[0] <= last]

    def offset_before(self, sequence: int) -> int:
        """Return the offset of a frame at or before the one that holds `sequence`."""
        index = bisect.bisect_right(self.positions, sequence, key=lambda entry: entry[0])
        return self.positions[index - 1][1] if index else HEADER_BYTES

    def truncate(self) -> None:
        """Make the file end where its frames do."""
        self._files.truncate(self.descriptor, self.end)
        self.allocated = self.end

    def write_header(self) -> None:
        """Begin the file anew, durably."""
        self._files.truncate(self.descriptor, 0)
        header = segment_header(self.first)
        if self._files.pwrite_durably(self.descriptor, header, 0) != len(header):
            raise OSError(errno.ENOSPC, "short write")
        self.end = self.allocated = len(header)

    def complete(self) -> None:
        """Make the file end where its frames do, durably."""
        self.truncate()
        self._files.datasync(self.descriptor)

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

    # Reading

    def read(self, sequence: int, end: int, bytes_max: int) -> list[Frame]:
        """Return frames up to offset `end`, the first of which holds `sequence`.

        At least one, and then not more than about `bytes_max` bytes. Raises CorruptionError if the
        first one is not to be had, OSError.
        """
        frames: list[Frame] = []
        collected = 0
        offset = self.offset_before(sequence)
        chunk_bytes = bytes_max + INDEX_BYTES
        while offset < end and collected < bytes_max:
            wanted = min(chunk_bytes, end - offset)
            data = read_up_to_damage(self._files, self.descriptor, wanted, offset)
            position = 0
            while collected < bytes_max:
                parsed = parse_frame(data, position)
                if parsed is None:
                    break
                position += len(parsed.data)
                if parsed.count and parsed.last >= sequence:
                    if parsed.first > (frames[-1].last + 1 if frames else sequence):
                        return self._found(frames, sequence)
                    frames.append(parsed)
                    collected += len(parsed.data)
            if position == 0:  # a frame that is longer than the chunk, or a bad one
                if len(data) < wanted or wanted in (end - offset, _FRAME_BYTES_MAX):
                    break
                chunk_bytes = min(4 * chunk_bytes, _FRAME_BYTES_MAX)
            offset += position
        return self._found(frames, sequence)

    def _found(self, frames: list[Frame], sequence: int) -> list[Frame]:
        if not frames:
            raise CorruptionError(f"{self.path}: record {sequence} is damaged")
        return frames

    def find(self, sequence: int) -> tuple[int, int]:
        """Return where the frame that begins with `sequence` starts, or the end, and the timestamp before.

        Raises CorruptionError, OSError.
        """
        offset, timestamp = HEADER_BYTES, self.previous_timestamp
        index = bisect.bisect_right(self.positions, sequence, key=lambda entry: entry[0])
        if index:
            _, offset, timestamp = self.positions[index - 1]
        data = self._files.pread(self.descriptor, self.end - offset, offset)
        position = 0
        while position < len(data):
            parsed = parse_frame(data, position)
            if parsed is None:
                raise CorruptionError(f"{self.path}: bad frame at offset {offset + position}")
            if parsed.count:
                if parsed.first >= sequence:
                    assert parsed.first == sequence, "logs part at a boundary between frames"
                    break
                timestamp = parsed.timestamp
            position += len(parsed.data)
        return offset + position, timestamp

    def mend_header(self) -> bool:
        """Return whether the header was what belongs there, and put it there if not."""
        header = segment_header(self.first)
        sound = self._files.pread(self.descriptor, HEADER_BYTES, 0) == header
        if not sound:
            self._files.pwrite_durably(self.descriptor, header, 0)
        return sound
