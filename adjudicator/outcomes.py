"""How recent transactions ended, by id, so that a lost answer can be asked for again. Free of I/O."""

from __future__ import annotations

from collections import deque

from adjudicator.conflict_set import WINDOW_MICROSECONDS

ENTRIES_MAX = 500_000  # about 200 bytes each


class Outcomes:
    """Commit timestamps by transaction id; the negative of one for a tombstone.

    `floor` is at least the timestamp of every outcome that was forgotten: a transaction that started
    below it and is not known here may have ended either way.
    """

    def __init__(
        self, *, window: int = WINDOW_MICROSECONDS, entries_max: int = ENTRIES_MAX
    ) -> None:
        self.floor = 0
        self._window = window
        self._entries_max = entries_max
        self._timestamps: dict[bytes, int] = {}
        self._order: deque[bytes] = deque()

    def __len__(self) -> int:
        return len(self._timestamps)

    def get(self, transaction_id: bytes) -> int:
        """Return the commit timestamp, negative for a tombstone, 0 if it is not known."""
        return self._timestamps.get(transaction_id, 0)

    def add(self, transaction_id: bytes, timestamp: int) -> None:
        """Note an outcome; `timestamp` is newer (or, negated, a newer tombstone) than all before."""
        self._timestamps[transaction_id] = timestamp
        self._order.append(transaction_id)
        now = abs(timestamp)
        order = self._order
        for _ in range(2):  # two go for each that comes: it catches up, without a pause
            oldest = abs(self._timestamps[order[0]])
            if oldest >= now - self._window and len(order) <= self._entries_max:
                return
            self.floor = max(self.floor, oldest)
            del self._timestamps[order.popleft()]

    def put_before(self, older: Outcomes) -> None:
        """Take in outcomes that were read back from the journal and are older than all here."""
        self._timestamps = {**older._timestamps, **self._timestamps}
        self._order = deque([*older._order, *self._order])
        self.floor = max(self.floor, older.floor)
