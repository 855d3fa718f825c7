"""How recent transactions ended, by id, so that a lost answer can be asked for again. Free of I/O."""

from __future__ import annotations

from collections import deque

from adjudicator.conflict_set import WINDOW_MICROSECONDS

ENTRIES_MAX = 500_000  # about 200 bytes each
_BUCKET_MICROSECONDS = 1_000_000


class _Bucket:
    """The ids of outcomes up to `end`; the first came at `since`, in elapsed time."""

    __slots__ = ("end", "ids", "since")

    def __init__(self, since: int, end: int, ids: list[bytes]) -> None:
        self.since = since
        self.end = end
        self.ids = ids


class Outcomes:
    """Commit timestamps by transaction id; the negative of one for a tombstone.

    `floor` is at least the timestamp of every outcome that is not known, or not any more: a transaction
    that started below it and is not known here may have ended either way. `elapsed`: as in ConflictSet.
    """

    def __init__(
        self,
        floor: int = 0,
        *,
        window: int = WINDOW_MICROSECONDS,
        entries_max: int = ENTRIES_MAX,
    ) -> None:
        self.floor = floor
        self.elapsed = 0
        self._has_forgotten = False
        self._window = window
        self._entries_max = entries_max
        self._timestamps: dict[bytes, int] = {}
        self._buckets: deque[_Bucket] = deque()

    def __len__(self) -> int:
        return len(self._timestamps)

    def get(self, transaction_id: bytes) -> int:
        """Return the commit timestamp, negative for a tombstone, 0 if it is not known."""
        return self._timestamps.get(transaction_id, 0)

    def add(self, transaction_id: bytes, timestamp: int) -> None:
        """Note an outcome; `timestamp` is newer (or, negated, a newer tombstone) than all before."""
        self._timestamps[transaction_id] = timestamp
        buckets = self._buckets
        if not buckets or self.elapsed - buckets[-1].since >= _BUCKET_MICROSECONDS:
            buckets.append(_Bucket(self.elapsed, 0, []))
        newest = buckets[-1]
        newest.ids.append(transaction_id)
        newest.end = abs(timestamp)
        oldest = buckets[0]
        expired = oldest.since + _BUCKET_MICROSECONDS < self.elapsed - self._window
        if (expired or len(self._timestamps) > self._entries_max) and oldest is not newest:
            self._forget(oldest)

    def remove(self, transaction_id: bytes) -> None:
        """Take back what was noted of a transaction that will not be appended."""
        del self._timestamps[transaction_id]

    def recall(self, older: list[tuple[bytes, int]], floor: int) -> None:
        """Take in the outcomes right below the floor, which falls to `floor`. In vain once it forgets."""
        if self._has_forgotten:
            return
        known = self._timestamps
        for transaction_id, timestamp in older:
            known.setdefault(transaction_id, timestamp)
        ids = [transaction_id for transaction_id, _ in older]
        self._buckets.appendleft(_Bucket(self.elapsed, self.floor, ids))
        self.floor = floor

    def _forget(self, oldest: _Bucket) -> None:
        self._has_forgotten = True
        self.floor = max(self.floor, oldest.end)
        for _ in range(2):  # two go for each that comes: it catches up, without a pause
            if oldest.ids:
                self._timestamps.pop(oldest.ids.pop(), None)
        if not oldest.ids:
            self._buckets.popleft()
