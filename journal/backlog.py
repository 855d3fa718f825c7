"""How far the zones' storage replicas are behind the journal that its leader writes, free of I/O.

The leader takes a mark of its log many times a second, and asks each zone how far its storage is. What is
counted is what this leader has written itself: of what it took over it knows the end only.

- In bytes, the lag is that of the second best of three zones, of a majority: the journal keeps so much for
  it. One zone whose storage is slow, or that is gone, counts for nothing.
- In seconds, it is that of the best zone: readers go there, and wait no longer than that.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple

MARKS_MAX = 1024
_UNKNOWN = -1


class Mark(NamedTuple):
    """The end of the log at a moment, and how many bytes had been written by then."""

    at: float
    sequence: int
    size: int


class Backlog:
    """Of one leader. `size`: the bytes that it has written."""

    def __init__(self, zones: int) -> None:
        self.size = 0
        self._applied = [_UNKNOWN] * zones
        self._marks: list[Mark] = []

    def mark(self, now: float, sequence: int) -> None:
        """Note where the log ends now, at most a look after it was written."""
        marks = self._marks
        if not marks or marks[-1].sequence < sequence:
            marks.append(Mark(now, sequence, self.size))
        if len(marks) > MARKS_MAX:  # of what is far behind it need not be known so precisely
            del marks[1:-1:2]

    def told(self, zone: int, applied: int) -> None:
        """Zone number `zone` has applied the records up to `applied`; -1 if its storage does not follow."""
        self._applied[zone] = applied
        old = bisect_right(self._marks, min(self._applied), key=lambda mark: mark.sequence)
        del self._marks[: max(0, old - 1)]

    @property
    def bytes_behind(self) -> int:
        """What a majority of the storages has yet to apply."""
        last = self._last_applied(len(self._applied) // 2)
        return 0 if last is None else self.size - last.size

    def seconds_behind(self, now: float) -> float:
        """Return how long ago what the best of the storages lacks was written."""
        best = max(self._applied)
        if best == _UNKNOWN:
            return 0.0
        behind = bisect_right(self._marks, best, key=lambda mark: mark.sequence)
        return now - self._marks[behind].at if behind < len(self._marks) else 0.0

    def _last_applied(self, better: int) -> Mark | None:
        """Return the last mark of the storage that so many are ahead of; None if none follows."""
        if max(self._applied) == _UNKNOWN or not self._marks:
            return None
        applied = sorted(self._applied, reverse=True)[better]
        found = bisect_right(self._marks, applied, key=lambda mark: mark.sequence)
        return self._marks[max(0, found - 1)]
