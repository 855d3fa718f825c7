"""The segment files of an open log, in order: the writing thread changes them while others read."""

from __future__ import annotations

import bisect
import threading
from pathlib import Path

from dsql.disk.files import Files
from journal.extent import LogExtent
from journal.segment import CorruptionError, Frame
from journal.segment_file import SUFFIX, SegmentFile
from journal.segment_repair import Replacement


class Segments:
    """The files in `directory`, `found` there by a recovery. Methods raise OSError.

    Whoever changes a segment's span holds `mutex`.
    """

    def __init__(self, files: Files, directory: Path, found: list[SegmentFile]) -> None:
        self._files = files
        self._directory = directory
        self._all = found
        self.mutex = threading.Lock()  # held for moments, but for a replacement's rename

    @property
    def newest(self) -> SegmentFile:
        """The one that is written to."""
        return self._all[-1]

    @property
    def first(self) -> int:
        """The first record that is still kept."""
        return self._all[0].first

    @property
    def size(self) -> int:
        """How many bytes are in use."""
        with self.mutex:
            return sum(segment.end for segment in self._all)

    @property
    def damaged(self) -> list[SegmentFile]:
        """Those that are not as they were written, as far as it is known."""
        with self.mutex:
            return [segment for segment in self._all if segment.damaged]

    def grows(self, first: int) -> bool:
        """Return whether the one that begins with `first` is the newest."""
        with self.mutex:
            return bool(self._all) and self._all[-1].first == first

    def __bool__(self) -> bool:
        """False before the first one is created, and between `clear` and that."""
        return bool(self._all)

    # Changing

    def create(self, first: int, previous_timestamp: int) -> SegmentFile:
        """Add an empty segment at the end; it is durable on return."""
        path = self._directory / f"{first:020d}{SUFFIX}"
        segment = SegmentFile(self._files, path, first, previous_timestamp)
        try:
            segment.write_header()
            self.sync_names()
        except OSError:
            segment.remove()
            raise
        with self.mutex:
            self._all.append(segment)
        return segment

    def ending_with(self, last: int) -> SegmentFile:
        """Return the one that is the newest when the log ends with `last`."""
        index = len(self._all) - 1
        while self._all[index].first > last + 1:
            index -= 1
        return self._all[index]

    def cut(self, segment: SegmentFile, last: int, end: int) -> None:
        """Remove all behind `segment`, then let that end with `last`, at offset `end`."""
        with self.mutex:
            while self._all[-1] is not segment:
                self._all.pop().remove()
            segment.cut(last, end)
        self.sync_names()
        segment.complete()

    def first_without(self, sequence: int) -> int:
        """Return what would be the first record kept, were segments that end before `sequence` removed."""
        index = 0
        while index < len(self._all) - 1 and self._all[index].last < sequence:
            index += 1
        return self._all[index].first

    def remove_before(self, first: int) -> None:
        """Remove those before the one that begins with `first`."""
        with self.mutex:
            while self._all[0].first < first:
                self._all.pop(0).remove()

    def remove_all(self) -> None:
        """Remove every segment."""
        with self.mutex:
            while self._all:
                self._all.pop().remove()

    def sync_names(self) -> None:
        """Return when it is durable which segments there are."""
        self._files.sync_directory(self._directory)

    def close(self) -> None:
        """Close the files, each when nobody reads it any more."""
        with self.mutex:
            while self._all:
                self._all.pop().close()

    # Reading

    def read(self, sequence: int, bytes_max: int) -> list[Frame]:
        """See Log. A segment that cannot be read is `damaged` from then on."""
        with self.mutex:
            segment = self._holding(sequence)
            if segment is None:
                return []
            end = segment.end
            segment.hold()
        try:
            return segment.read(sequence, end, bytes_max)
        except (CorruptionError, OSError) as error:
            segment.damaged = True
            raise CorruptionError(str(error)) from error
        finally:
            with self.mutex:
                segment.close()

    def locate(self, timestamp: int) -> int:
        """Return a sequence at or before the first record with at least `timestamp`."""
        with self.mutex:
            found = self._all[0].first
            for segment in self._all:
                for first, _, previous_timestamp in segment.positions:
                    if previous_timestamp >= timestamp:
                        return found
                    found = first
            return found

    def mend_header(self, sequence: int) -> bool:
        """Mend the header of the segment that begins with `sequence`; True if there was nothing to do."""
        with self.mutex:
            segment = self._holding(sequence)
            return segment is None or segment.first != sequence or segment.mend_header()

    def _holding(self, sequence: int) -> SegmentFile | None:
        index = bisect.bisect_right(self._all, sequence, key=lambda segment: segment.first)
        if not index or sequence > self._all[index - 1].last:
            return None
        return self._all[index - 1]

    # Replacing

    def begin_replacement(self, first: int, extent: LogExtent, secret: int) -> Replacement | None:
        """Return a new file for the segment that begins with `first`; None if there is none to replace."""
        with self.mutex:
            old = next((segment for segment in self._all[:-1] if segment.first == first), None)
        return Replacement(self._files, old, extent, secret) if old is not None else None

    def replace(self, replacement: Replacement) -> bool:
        """Put the new file in the place of the old one; False if that is not as it was."""
        old, new = replacement.old, replacement.finish()
        with self.mutex:
            if old not in self._all[:-1] or new.last != old.last:
                new.remove()
                return False
            self._files.rename(new.path, old.path)
            self.sync_names()
            new.path = old.path
            self._all[self._all.index(old)] = new
            old.close()
        return True
