"""What was written of late, in the order of the commits: for who has read ranges of keys. Free of I/O.

To remember a commit costs an append; order is made when somebody asks. Who asks has mostly begun some
milliseconds ago, so that few keys were written since, and each is looked up among the ranges. Where there
are many, those of a whole bucket are sorted, once, and each range is looked up among them.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

Range = tuple[bytes, bytes]  # low <= key < high

_KEYS_PER_RANGE = 16  # so many keys are looked up in the time that it takes to look up a range


class DisjointRanges:
    """Ranges of keys, in order and without overlap, whatever they were before."""

    __slots__ = ("highs", "lows")

    def __init__(self, ranges: Sequence[Range]) -> None:
        self.lows: list[bytes] = []
        self.highs: list[bytes] = []
        for low, high in sorted(ranges):
            if self.highs and low <= self.highs[-1]:
                self.highs[-1] = max(high, self.highs[-1])
            elif low < high:
                self.lows.append(low)
                self.highs.append(high)

    def has(self, key: bytes) -> bool:
        """Return whether a key is in one of them."""
        place = bisect_right(self.lows, key) - 1
        return place >= 0 and key < self.highs[place]


class RecentWrites:
    """The keys that some commits have written, each as often as it was."""

    __slots__ = ("_commits", "_ends", "_sorted", "keys")

    def __init__(self) -> None:
        self.keys: list[bytes] = []
        self._commits = array("q")  # their timestamps
        self._ends = array("q")  # how many keys there were behind each
        self._sorted: list[bytes] = []

    def end_commit(self, timestamp: int) -> None:
        """Say that what was added to `keys` is the commit's with this timestamp, the newest one."""
        self._commits.append(timestamp)
        self._ends.append(len(self.keys))

    def newest_within(self, ranges: DisjointRanges, start: int) -> int:
        """Return the timestamp of a commit behind `start` that has written in the ranges, 0 for none.

        It is the newest such commit, or a later one.
        """
        commits, ends, keys = self._commits, self._ends, self.keys
        first = bisect_right(commits, start)
        begin = ends[first - 1] if first else 0
        if not begin and len(keys) > _KEYS_PER_RANGE * (1 + len(ranges.lows)):
            return commits[-1] if self._has_within(ranges) else 0
        for place in range(len(keys) - 1, begin - 1, -1):
            if ranges.has(keys[place]):
                return commits[bisect_right(ends, place)]
        return 0

    def _has_within(self, ranges: DisjointRanges) -> bool:
        found = self._sorted
        if len(found) != len(self.keys):
            self._sorted = found = sorted(self.keys)
        for low, high in zip(ranges.lows, ranges.highs, strict=True):
            place = bisect_left(found, low)
            if place < len(found) and found[place] < high:
                return True
        return False
