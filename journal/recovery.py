"""What of a log can be proved after a crash or damage: reading its segments when it is opened.

A segment is complete on disk before its successor is created, so only the last one can be torn, and only
behind what the log's reach (`journal.state_file`) says was durable. Whatever else is not as it was
written is damage, and there are two kinds of it.

Records that are missing between two frames of one epoch are a *gap*. The replica has acknowledged
them, all replicas that have the later frame have the very same ones, and nothing else about this log
is in doubt: it counts as whole and gets them again from its peers. It only cannot give them to anybody
until then.

Anything else, above all an end that is missing, leaves open what the log held: LogDamagedError.
"""

from __future__ import annotations

import logging
from pathlib import Path

from dsql.disk.files import Files, read_readable
from journal.extent import EMPTY_LOG, LogExtent
from journal.messages import Extent
from journal.segment import CorruptionError, Frame, recover_segment
from journal.segment_file import NEW_SUFFIX, SUFFIX, SegmentFile

log = logging.getLogger(__name__)


class LogDamagedError(CorruptionError):
    """A log cannot be proved whole. `sound` are segments, from its first one on, that can be used."""

    def __init__(self, message: str, sound: list[Path]) -> None:
        super().__init__(message)
        self.sound = sound


class Recovery:
    """The `segments` of a log, opened, in order, and their `extent`; `repaired` counts what was mended.

    `reach` and `secret` are those of the state file; without one (None, 0) all is taken that is sound.
    """

    def __init__(self, files: Files, directory: Path, reach: Frame | None, secret: int) -> None:
        self.segments: list[SegmentFile] = []
        self.extent = LogExtent(EMPTY_LOG)
        self.repaired = 0
        self._files = files
        self._secret = secret
        self._directory = directory
        self._kept_from = 0
        self._synced = 0
        if reach is not None:
            self._kept_from, self._synced = reach.timestamp, reach.first
            self.extent = LogExtent(Extent(self._kept_from, self._kept_from - 1, 0, [], 0))

    def run(self) -> None:
        """Read all segments. Raises LogDamagedError, OSError."""
        paths = self._paths()
        if paths and not self._kept_from:
            first = int(paths[0].stem)
            self.extent = LogExtent(Extent(first, first - 1, 0, [], 0))
        for index, path in enumerate(paths):
            if int(path.stem) > self.extent.last + 1 and self.extent.last >= self._synced:
                for leftover in paths[index:]:  # by a cut that did not come to its end
                    self._files.unlink(leftover)
                break
            self._take(path, last=path == paths[-1])
        if self.extent.last < self._synced:
            raise self.damage(
                f"ends at record {self.extent.last}, but {self._synced} was written durably"
            )

    def damage(self, message: str) -> LogDamagedError:
        """Return the error that says what cannot be proved."""
        sound: list[Path] = []
        for segment in self.segments[:-1]:
            if segment.damaged:
                break
            sound.append(segment.path)
        return LogDamagedError(f"{self._directory}: {message}", sound)

    def _paths(self) -> list[Path]:
        """Return the segments in order. What is not kept any more has only not gone yet."""
        found = []
        for name in self._files.list(self._directory):
            path = self._directory / name
            if path.suffix not in (SUFFIX, NEW_SUFFIX) or not path.stem.isdecimal():
                continue
            if path.suffix == NEW_SUFFIX or int(path.stem) < self._kept_from:
                self._files.unlink(path)
            else:
                found.append(path)
        return found

    def _take(self, path: Path, *, last: bool) -> None:
        first = int(path.stem)
        if first <= self.extent.last:
            raise self.damage(f"{path.name} begins within its predecessor")
        if first > self.extent.last + 1:
            self._stand_in(first - 1)
        segment = SegmentFile(self._files, path, first, self.extent.last_timestamp)
        self.segments.append(segment)
        data = read_readable(self._files, segment.descriptor)
        recovered = recover_segment(data, first, self._secret)
        segment.damaged = recovered.damaged or (recovered.torn and not last)
        segment.end, segment.allocated = recovered.end, len(data)
        for offset, frame in recovered.frames:
            self._add(segment, frame, offset)
        if not segment.mend_header() and recovered.frames:
            log.warning("%s: the header was damaged; it is written anew", path)
            self.repaired += 1
        if self.extent.last < segment.first - 1:
            raise self.damage(f"nothing is sound before {path.name}, nor in it")

    def _stand_in(self, last: int) -> None:
        """Let the records up to `last`, which are in no file, belong to the last segment."""
        if not self.segments:
            raise self.damage("its first segment is missing")
        segment = self.segments[-1]
        segment.damaged = True
        segment.last = last

    def _add(self, segment: SegmentFile, frame: Frame, offset: int) -> None:
        extent = self.extent
        gap = frame.first > extent.last + 1
        if frame.epoch < extent.last_epoch or frame.timestamp <= extent.last_timestamp:
            raise self.damage(f"{segment.path.name}: record {frame.first} is out of order")
        if gap and frame.epoch != extent.last_epoch:
            raise self.damage(f"{segment.path.name}: nothing is sound before record {frame.first}")
        segment.note(frame, offset, extent.last_timestamp)
        extent.last = frame.first - 1
        extent.add(frame)
