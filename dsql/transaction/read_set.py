"""What a serializable transaction has read: keys, there or not, and ranges of keys as far as it has looked.

That is all that its answers can depend on: a row that would have been found later is a write within a range
that was read. Catalog and version keys are not among it, because what a statement needs of the catalog is
checked as such; nor is what is the session's own.

A read set is bounded: when it grows too large, the keyspace with most in it counts as read as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from dsql.catalog.schema import FIRST_USER_OID
from dsql.encoding.keyspace import PREFIX_BYTES, is_local, prefix, prefix_end
from dsql.transaction.interface import Snapshot

Row = tuple[bytes, bytes]
Range = tuple[bytes, bytes]  # low <= key < high

BYTES_MAX = 64 * 1024  # with some thousand keys the adjudicator needs a millisecond for them
_RANGE_BYTES = 64  # what a range counts besides its ends: it takes longer to be looked up
_FIRST_KEYS = prefix(FIRST_USER_OID)


class ReadSetRecord(msgspec.Struct, array_like=True, frozen=True):
    """A read set between two statements, as a value."""

    keys: tuple[bytes, ...] = ()
    ranges: tuple[Range, ...] = ()


class _Keyspace:
    """What was read of one. `running` are ranges that are still read, as [low, up to here]."""

    __slots__ = ("keys", "ranges", "running", "size")

    def __init__(self) -> None:
        self.size = 0
        self.keys: set[bytes] = set()
        self.ranges: set[Range] = set()
        self.running: list[list[bytes]] = []


def _counts(key: bytes) -> bool:
    return key >= _FIRST_KEYS and not is_local(key)


class ReadSet:
    """See the module. `bytes_max` bounds what it holds, but for one range of each keyspace."""

    def __init__(self, bytes_max: int = BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._size = 0
        self._keyspaces: dict[bytes, _Keyspace] = {}
        self._whole: set[bytes] = set()  # prefixes of keyspaces

    def add_key(self, key: bytes) -> None:
        """Note that a key was looked up."""
        keyspace = self._keyspace(key)
        if keyspace is not None and key not in keyspace.keys:
            keyspace.keys.add(key)
            self._grow(keyspace, len(key))

    def follow(
        self, rows: Iterator[Row], low: bytes, high: bytes, *, reverse: bool
    ) -> Iterator[Row]:
        """Yield the rows of a range, and note how far they were read."""
        keyspace = self._keyspace(low)
        if keyspace is None:
            return rows
        return self._follow(keyspace, rows, low, high, reverse=reverse)

    def _follow(
        self, keyspace: _Keyspace, rows: Iterator[Row], low: bytes, high: bytes, *, reverse: bool
    ) -> Iterator[Row]:
        read = [high, high] if reverse else [low, low]
        keyspace.running.append(read)
        try:
            if reverse:
                for row in rows:
                    read[0] = row[0]
                    yield row
                read[0] = low
            else:
                for row in rows:
                    read[1] = row[0] + b"\0"
                    yield row
                read[1] = high
        finally:  # also where nobody wants more
            keyspace.running = [other for other in keyspace.running if other is not read]
            self._add_range(keyspace, (read[0], read[1]))

    def _add_range(self, keyspace: _Keyspace, read: Range) -> None:
        if read[0][:PREFIX_BYTES] in self._whole:
            return
        if read[0] < read[1] and read not in keyspace.ranges:
            keyspace.ranges.add(read)
            self._grow(keyspace, len(read[0]) + len(read[1]) + _RANGE_BYTES)

    def _keyspace(self, key: bytes) -> _Keyspace | None:
        """Return what was read of a key's keyspace, None where that need not be noted."""
        start = key[:PREFIX_BYTES]
        found = self._keyspaces.get(start)
        if found is None and _counts(key) and start not in self._whole:
            found = self._keyspaces[start] = _Keyspace()
        return found

    def _grow(self, keyspace: _Keyspace, size: int) -> None:
        keyspace.size += size
        self._size += size
        while self._size > self._bytes_max and self._keyspaces:
            start = max(self._keyspaces, key=lambda other: self._keyspaces[other].size)
            self._size -= self._keyspaces.pop(start).size
            self._whole.add(start)

    def keys(self, without: Iterable[bytes] = ()) -> tuple[bytes, ...]:
        """Return the keys that were looked up, but for some."""
        left = set(without)
        return tuple(
            key for space in self._keyspaces.values() for key in space.keys if key not in left
        )

    def ranges(self) -> tuple[Range, ...]:
        """Return the ranges that were read, as far as they were by now."""
        whole = [(start, prefix_end(start)) for start in self._whole]
        spaces = self._keyspaces.values()
        known = [read for space in spaces for read in space.ranges]
        running = [(read[0], read[1]) for space in spaces for read in space.running]
        return (*whole, *known, *(read for read in running if read[0] < read[1]))

    def __bool__(self) -> bool:
        """Whether anything was read."""
        return bool(self._keyspaces or self._whole)

    def record(self) -> ReadSetRecord:
        """Return all of it for another process."""
        return ReadSetRecord(self.keys(), self.ranges())

    def take_up(self, record: ReadSetRecord) -> None:
        """Go on with what another process has read."""
        for key in record.keys:
            self.add_key(key)
        for low, high in record.ranges:
            keyspace = self._keyspace(low)
            if keyspace is not None:
                self._add_range(keyspace, (low, high))


class TracedSnapshot:
    """A `dsql.transaction.interface.Snapshot` that notes what is read of another one."""

    __slots__ = ("_reads", "_snapshot", "timestamp")

    def __init__(self, snapshot: Snapshot, reads: ReadSet) -> None:
        self.timestamp = snapshot.timestamp
        self._snapshot = snapshot
        self._reads = reads

    @property
    def bytes_read(self) -> int:
        """See Snapshot."""
        return self._snapshot.bytes_read

    @bytes_read.setter
    def bytes_read(self, count: int) -> None:
        self._snapshot.bytes_read = count

    def get(self, key: bytes) -> bytes | None:
        """Return the value of `key`, None if there is none."""
        self._reads.add_key(key)
        return self._snapshot.get(key)

    def scan(self, low: bytes, high: bytes, *, reverse: bool = False) -> Iterator[Row]:
        """Yield (key, value) with low <= key < high."""
        rows = self._snapshot.scan(low, high, reverse=reverse)
        return self._reads.follow(rows, low, high, reverse=reverse)

    def is_outdated(self, keys: Iterable[bytes], since: int) -> bool:
        """See Snapshot."""
        return self._snapshot.is_outdated(keys, since)

    def may_have(self, keys: Iterable[bytes]) -> bool:
        """Return whether one of `keys` may have a value; who learns that none has, has read them all."""
        asked = list(keys)
        for key in asked:
            self._reads.add_key(key)
        return self._snapshot.may_have(asked)
