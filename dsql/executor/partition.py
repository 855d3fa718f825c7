"""Hash tables that go on in temporary space: DISTINCT and GROUP BY of more than memory should hold.

Once a table has taken its node's share of memory it takes no further keys. Rows with other keys go to one
of `PARTITIONS` runs of rows, by the hash of their keys; each is then worked off like the whole before it,
with other bits of the hash, so that rows with equal keys always meet.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
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
Entry = tuple[Any, ...]  # a key and what belongs to it


class Partitions:
    """Rows by the hashes of their keys. Generated code calls `large` for large values of the last one."""

    __slots__ = ("_arrived", "_last", "_parts", "_shift")

    def __init__(self, memory: StatementMemory, depth: int) -> None:
        if depth > DEPTH_MAX:
            raise SqlError("53200", "out of memory", detail="Too many rows have keys of one hash.")
        # other bits of the hash than the partitions above
        self._shift = _HASH_BITS * depth
        self._parts = [Rows(memory, _SHARED_BYTES) for _ in range(PARTITIONS)]
        self._last = self._parts[0]
        self._arrived = 0

    def add(self, key: Key, row: Row) -> None:
        """Keep a row."""
        # a tuple's hash is mixed, an integer's is not
        part = self._last = self._parts[(hash((key,)) >> self._shift) % PARTITIONS]
        rows = part.list
        rows.append(row)
        if not len(rows) & 63:
            part.sample()

    def large(self, value: Any) -> None:
        """Account for a large value of the last row."""
        self._last.large(value)

    def move(self, entries: Iterable[Entry], size: int) -> None:
        """Keep entries (key, ...) that are accounted for, or took `size` bytes in temporary space."""
        parts, shift = self._parts, self._shift
        for entry in entries:
            parts[(hash((entry[0],)) >> shift) % PARTITIONS].list.append(entry)
        self._arrived += size
        if self._arrived > PARTITIONS * _SHARED_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write out what is in memory."""
        self._arrived = 0
        for part in self._parts:
            part.flush()

    def take(self) -> Iterator[Rows]:
        """Yield the partitions; each is forgotten before the next one comes."""
        while self._parts:
            yield self._parts.pop()


class DistinctRows:
    """The first rows with their keys. `full`: rows with keys that are not in `seen` are to be deferred.

    Generated code calls `large` for large values of a new key in `seen`, and `deferred.large` for those of
    a row that it has deferred.
    """

    __slots__ = ("_depth", "_held", "_memory", "_partitions", "full", "seen")

    def __init__(self, memory: StatementMemory, depth: int = 0) -> None:
        self.seen: set[Key] = set()
        self.full = False
        self._memory = memory
        self._depth = depth
        self._held = Held(memory)
        self._partitions: Partitions | None = None

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
        (self._partitions or self.deferred).add(key, (key, row))

    @property
    def deferred(self) -> Partitions:
        """The rows that were deferred."""
        if self._partitions is None:
            self._partitions = Partitions(self._memory, self._depth)
        return self._partitions

    def rest(self) -> Iterator[Row]:
        """Yield the first rows with their keys among those deferred, in any order.

        What was seen is forgotten.
        """
        return chain.from_iterable(rows for rows, _ in self._found())

    def _found(self) -> Iterator[tuple[list[Row], int]]:
        """Yield them in lists, each with the bytes that the chunk it is from takes in temporary space."""
        self.seen.clear()
        self._held.clear()
        self.full = False
        partitions, self._partitions = self._partitions, None
        for part in () if partitions is None else partitions.take():
            inner = DistinctRows(self._memory, self._depth + 1)
            for entries, size in part.chunks():
                yield inner._first(entries, size), size
            yield from inner._found()

    def _first(self, entries: list[Entry], size: int) -> list[Row]:
        """Return the rows of a chunk that are the first with their keys, if there is room for these."""
        seen = self.seen
        first: list[Row] = []
        if self.full:
            self.deferred.move((entry for entry in entries if entry[0] not in seen), size)
            return first
        for key, row in entries:
            if key not in seen:
                seen.add(key)
                first.append(row)
        if first:
            self._held.read(entries, len(first), size, SET_ENTRY_BYTES)
            self.full = self._memory.is_share(self._held.bytes)
        return first


class DistinctInOrder(DistinctRows):
    """Rows of which those that were deferred come back in the order in which they came."""

    __slots__ = ("_number",)

    def __init__(self, memory: StatementMemory) -> None:
        super().__init__(memory)
        self._number = 0

    def defer(self, key: Key, row: Row) -> None:
        """Keep a row with a new key for later."""
        self._number += 1
        super().defer(key, (self._number, row))

    def rest(self) -> Iterator[Row]:
        """Yield the first rows with their keys among those deferred."""
        first = itemgetter(0)
        found = SortedRows(self._memory, lambda rows: rows.sort(key=first), first)
        for rows, size in self._found():
            found.extend(rows, size)
        return (row for _, row in found)


class GroupSpill(Held):
    """The account of groups and their accumulators, and what happens to rows that find no room there.

    `full`: no further group is to be made. Generated code calls `deferred.large` for large values of a row
    that it has deferred.
    """

    __slots__ = ("_depth", "_partitions", "_rows", "_waiting", "full")

    def __init__(self, memory: StatementMemory) -> None:
        super().__init__(memory)
        self.full = False
        self._depth = 0
        self._partitions: Partitions | None = None
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
        """Keep a row for later. It begins with the key."""
        self.deferred.add(key, row)

    @property
    def deferred(self) -> Partitions:
        """The rows that were deferred."""
        if self._partitions is None:
            self._partitions = Partitions(self.memory, self._depth)
        return self._partitions

    def next(self, groups: dict[Key, Any]) -> bool:
        """Forget the groups that were given and turn to the next partition; False after the last."""
        groups.clear()
        self.clear()
        self.full = False
        self._rows = None
        if self._partitions is not None:
            self._waiting.append((self._depth + 1, self._partitions.take()))
            self._partitions = None
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
