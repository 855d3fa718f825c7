"""Where a log begins and ends, which epoch wrote which part of it, and where two logs part.

Epochs never fall along a log, so a few (epoch, first sequence) pairs describe all of it. Two logs
that hold the same epoch at the same sequence are identical up to there: one leader per epoch wrote
that record, and it did so only behind the very same predecessor.
"""

from __future__ import annotations

from journal.messages import Extent
from journal.segment import Frame

EMPTY_LOG = Extent(first_sequence=1, last_sequence=0, last_timestamp=0, epochs=[], checkpoint=0)


class LogExtent:
    """The span of one log, kept up as frames are added and cut off."""

    def __init__(self, extent: Extent) -> None:
        self.first = extent.first_sequence
        self.last = extent.last_sequence
        self.last_timestamp = extent.last_timestamp
        self.epochs = list(extent.epochs)

    @property
    def last_epoch(self) -> int:
        """The epoch of the last record, 0 for a log that never had one."""
        return self.epochs[-1][0] if self.epochs else 0

    def epoch_at(self, sequence: int) -> int:
        """Return the epoch of a record of this log, 0 for what lies before or behind it."""
        if not 0 < sequence <= self.last:
            return 0
        for epoch, first in reversed(self.epochs):
            if first <= sequence:
                return epoch
        return 0

    def first_of_epoch_at(self, sequence: int) -> int:
        """Return the first sequence of the epoch that wrote `sequence`, 0 if it is not known."""
        for _, first in reversed(self.epochs):
            if first <= sequence:
                return first
        return 0

    def add(self, frame: Frame) -> None:
        """Add a frame at the end."""
        assert frame.first == self.last + 1, "a journal has no gaps"
        assert frame.timestamp > self.last_timestamp, "timestamps rise strictly along a journal"
        assert frame.epoch >= self.last_epoch, "epochs never fall along a journal"
        if frame.epoch != self.last_epoch:
            self.epochs.append((frame.epoch, frame.first))
        self.last = frame.last
        self.last_timestamp = frame.timestamp

    def cut(self, last: int, last_timestamp: int = 0) -> None:
        """Forget everything behind `last`, a record with `last_timestamp`.

        Who does not know it puts another frame there at once.
        """
        while self.epochs and self.epochs[-1][1] > last:
            self.epochs.pop()
        self.last = last
        self.last_timestamp = last_timestamp

    def trim(self, first: int) -> None:
        """Forget everything before `first`. The epoch before it stays known."""
        self.first = max(self.first, first)
        while len(self.epochs) > 1 and self.epochs[1][1] < first:
            self.epochs.pop(0)

    def describe(self, checkpoint: int) -> Extent:
        """Return the extent as it is told to a leader."""
        return Extent(self.first, self.last, self.last_timestamp, list(self.epochs), checkpoint)


def common_prefix(one: LogExtent, other: LogExtent) -> int:
    """Return the last sequence up to which two logs are identical.

    What a log has trimmed was committed, so it is in both.
    """
    sequence = min(one.last, other.last)
    while sequence >= max(one.first, other.first):
        epoch_in_one = one.epoch_at(sequence)
        epoch_in_other = other.epoch_at(sequence)
        if epoch_in_one == epoch_in_other:
            break
        later = one if epoch_in_one > epoch_in_other else other
        sequence = later.first_of_epoch_at(sequence) - 1
    return sequence
