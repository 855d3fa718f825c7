"""Hash tables that go on in temporary space: DISTINCT and GROUP BY of more than memory should hold.

Once a table has taken its node's share of memory it takes no further keys. Rows with other keys go to one
of `PARTITIONS` runs of rows, by the hash of their keys; each is then worked off like the whole before it,
with other bits of the hash, so that rows with equal keys always meet.
"""

from __future__ import annotations

from collections.abc import Iterator
from operator import itemgetter
from typing import Any

from dsql.errors import SqlError
from dsql.executor.memory import SAMPLE_EVERY, SET_ENTRY_BYTES, Held, StatementMemory, row_size
from dsql.executor.runs import Row
from dsql.executor.sorting import SortedRows
from dsql.executor.spill import Rows

PARTITIONS = 16
_HASH_BITS = 4  # that choose one of them
DEPTH_MAX = 8  # 16 ** 8 partitions: keys that are still together there have one hash
_SHARED_BYTES = 64 * 1024  # what the rows of a partition take in memory before they are written

Key = Any


class Partitions:
    """Rows by the hashes of their keys."""

    __slots__ = ("_depth", "_parts")

    def __init__(self, memory: StatementMemory, depth: int) -> None:
        if depth > DEPTH_MAX:
            raise SqlError("53200", "out of memory", detail="Too many rows have keys of one hash.")
        self._depth = depth
        self._parts = [Rows(memory, _SHARED_BYTES) for _ in range(PARTITIONS)]

    def add(self, key: Key, row: Row) -> None:
        """Keep a row."""
        # other bits of the hash than the partitions above; a tuple's are mixed, an integer's are not
        self._parts[(hash((key,)) >> _HASH_BITS * self._depth) % PARTITIONS].add(row)

    def take(self) -> Iterator[Rows]:
        """Yield the partitions; each is forgotten before the next one comes."""
        while self._parts:
            yield self._parts.pop()


class DistinctRows:
    """The first rows with their keys. `full`: rows with keys that are not in `seen` are to be deferred."""

    __slots__ = ("_deferred", "_depth", "_held", "_memory", "_number", "full", "seen")

    def __init__(self, memory: StatementMemory, depth: int = 0) -> None:
        self.seen: set[Key] = set()
        self.full = False
        self._memory = memory
        self._depth = depth
        self._held = Held(memory)
        self._number = 0
        self._deferred: Partitions | None = None

    def sample(self, key: Key) -> None:
        """Account for the last `SAMPLE_EVERY` keys by this one."""
        self._held.sample_entry(key)
        self.full = self._memory.is_share(self._held.bytes)

    def large(self, value: Any) -> None:
        """Account for a large value in the last key."""
        self._held.large(value)
        self.full = self._memory.is_share(self._held.bytes)

    def defer(self, key: Key, row: Row) -> None:
        """Keep a row with a new key for later."""
        self._number += 1
        self._defer((self._number, key, row))

    def _defer(self, entry: tuple[int, Key, Row]) -> None:
        if self._deferred is None:
            self._deferred = Partitions(self._memory, self._depth)
        self._deferred.add(entry[1], entry)

    def rest(self) -> Iterator[Row]:
        """Yield the first rows with their keys among those deferred, in the order in which they came.

        What was seen is forgotten.
        """
        self.seen.clear()
        self._held.clear()
        self.full = False
        deferred, self._deferred = self._deferred, None
        if deferred is None:
            return
        first = itemgetter(0)
        found = SortedRows(self._memory, lambda rows: rows.sort(key=first), first)
        self._find(deferred, found)
        for _, row in found:
            yield row

    def _find(self, deferred: Partitions, found: SortedRows) -> None:
        """Add (number, row) of every first row in the partitions."""
        for part in deferred.take():
            inner = DistinctRows(self._memory, self._depth + 1)
            for number, key, row in part:
                if key in inner.seen:
                    continue
                if inner.full:
                    inner._defer((number, key, row))
                    continue
                inner.seen.add(key)
                inner._held.add(SET_ENTRY_BYTES)
                inner.large(key)
                found.add((number, row))
            if inner._deferred is not None:
                inner._find(inner._deferred, found)


class GroupSpill(Held):
    """The account of groups and their accumulators, and what happens to rows that find no room there.

    `full`: no further group is to be made.
    """

    __slots__ = ("_deferred", "_depth", "_rows", "_waiting", "full")

    def __init__(self, memory: StatementMemory) -> None:
        super().__init__(memory)
        self.full = False
        self._depth = 0
        self._deferred: Partitions | None = None
        self._waiting: list[tuple[int, Iterator[Rows]]] = []
        self._rows: Rows | None = None

    def add(self, size: int) -> None:
        """Take `size` bytes more, and see whether there is room for further groups."""
        super().add(size)
        self.full = self.memory.is_share(self.bytes)

    def sample_group(self, key: Key, group: list[Any]) -> None:
        """Account for the last `SAMPLE_EVERY` groups by this one."""
        self.add(SAMPLE_EVERY * (SET_ENTRY_BYTES + row_size(key) + row_size(group)))

    def defer(self, key: Key, row: Row) -> None:
        """Keep a row for later."""
        if self._deferred is None:
            self._deferred = Partitions(self.memory, self._depth)
        self._deferred.add(key, row)

    def next(self, groups: dict[Key, Any]) -> bool:
        """Forget the groups that were given and turn to the next partition; False after the last."""
        groups.clear()
        self.clear()
        self.full = False
        self._rows = None
        if self._deferred is not None:
            self._waiting.append((self._depth + 1, self._deferred.take()))
            self._deferred = None
        while self._waiting:
            self._depth, parts = self._waiting[-1]
            self._rows = next(parts, None)
            if self._rows is not None:
                return True
            self._waiting.pop()
        return False

    def rows(self) -> Rows:
        """Return the rows of the partition."""
        assert self._rows is not None
        return self._rows
