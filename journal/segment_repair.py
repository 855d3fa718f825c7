"""Writing a damaged segment anew, from what the peers have."""

from __future__ import annotations

from dsql.disk.files import Files
from journal.extent import LogExtent
from journal.segment import CorruptionError, Frame, sync_mark
from journal.segment_file import NEW_SUFFIX, SegmentFile


class Replacement:
    """A new file beside a segment that is complete but damaged: `old`. Methods raise OSError."""

    def __init__(self, files: Files, old: SegmentFile, extent: LogExtent, secret: int) -> None:
        self.old = old
        self._files = files
        self._extent = extent
        self._secret = secret
        self._timestamp = old.previous_timestamp
        path = old.path.with_suffix(NEW_SUFFIX)
        self._file = SegmentFile(files, path, old.first, old.previous_timestamp)
        self._file.write_header()

    @property
    def next(self) -> int:
        """The record that the next frame has to begin with."""
        return self._file.last + 1

    @property
    def complete(self) -> bool:
        """True when the whole span is there."""
        return self._file.last >= self.old.last

    def add(self, frames: list[Frame]) -> None:
        """Add frames of the peers' logs, in order. Raises CorruptionError for what is not ours, OSError."""
        file = self._file
        for frame in frames:
            if self.complete:
                return
            if frame.first != self.next or frame.epoch != self._extent.epoch_at(frame.first):
                raise CorruptionError(f"{file.path}: record {frame.first} of a peer is another one")
            mark = sync_mark(frame.first - 1, file.first, self._secret)
            self._write(mark)
            file.note(frame, file.end, self._timestamp)
            self._write(frame.data)
            self._timestamp = frame.timestamp

    def finish(self) -> SegmentFile:
        """Return the file, durable but for its name."""
        self._file.truncate()
        self._files.datasync(self._file.descriptor)
        return self._file

    def give_up(self) -> None:
        """Delete the file."""
        self._file.remove()

    def _write(self, data: bytes) -> None:
        while data:
            taken = self._files.pwrite(self._file.descriptor, data, self._file.end)
            data = data[taken:]
            self._file.end += taken
