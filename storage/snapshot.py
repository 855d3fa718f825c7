"""Reads at one timestamp from a mapped environment.

LMDB transactions live for one get or one chunk of a scan, never across a caller's pause: the snapshot is
the timestamp. A scan takes its rows in chunks that grow, and goes on after the last stored key that it
has seen; it does not matter that the next chunk comes from a later state of the environment.

After every read the horizon is compared with the timestamp. Whatever garbage collection took away, it
published the horizon for before, so a read that might have missed a version fails.

Nor does anything hold the pages of an LMDB transaction for its reader (`storage.pinned_pages`). A read that
may have lasted too long is done again: until then what it found may be anything, so nothing is looked
into before, but for what finding it takes, and what fails in there counts only if the pages were kept.
Then the replica is damaged, and the read goes on in another one: at the same timestamp and behind the same
stored key all replicas are the same.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING, TypeVar

import lmdb

from dsql.encoding.long_keys import (
    INLINE_BYTES,
    STORED_LONG_BYTES,
    finish_group,
    stored_high,
    stored_key,
    stored_low,
)
from dsql.errors import SqlError
from storage.board import HORIZON, KEPT, RELEASES, RETIRED
from storage.environment import DamagedReplicaError, ReadableEnvironment
from storage.mvcc import (
    HEADER_BYTES,
    DamagedRowError,
    committed_at,
    open_version,
    snapshot_bound,
    version_at,
)

if TYPE_CHECKING:
    from storage.databases import LmdbTransaction

_FIRST_CHUNK_ROWS = 32
_CHUNK_ROWS_MAX = 1_024
_PIECE_ROWS_MAX = 256  # a millisecond or two, with their checksums
_CHUNK_BYTES = 4 * 1024 * 1024
# What pages that are used again may lead to, or damaged ones.
_MISREAD = (lmdb.Error, struct.error, IndexError, DamagedRowError)
_NEVER = -1  # of RELEASES
_READS_MAX = 20  # each has had as long as the writer keeps pages

_begin = lmdb.Transaction

Row = tuple[bytes, bytes]
Found = TypeVar("Found")


def snapshot_too_old() -> SqlError:
    """Return the error of a read below the horizon of garbage collection."""
    return SqlError("72000", "snapshot too old")


def no_replica() -> SqlError:
    """Return the error of a read that no replica could serve in time."""
    return SqlError("58000", "no storage replica has reached the transaction's start timestamp")


def nowhere_else(
    replica: ReadableEnvironment, timestamp: int, damage: Exception | None
) -> ReadableEnvironment:
    """Raise what is wrong with a replica that has no other to go to."""
    del replica
    raise DamagedReplicaError(f"at {timestamp}: {damage or 'the replica was given up'}") from damage


Elsewhere = Callable[[ReadableEnvironment, int, Exception | None], ReadableEnvironment]


class LocalSnapshot:
    """A `dsql.transaction.interface.Snapshot` over a replica on this host.

    The replica has reached `timestamp`; `storage.client.LocalReplica` waits for that before it makes one.
    `elsewhere` takes it, the timestamp and what is wrong; it returns another replica that has reached that.
    Many activities may share a snapshot: it keeps no state from one read to the next but where it reads.
    """

    __slots__ = (
        "_bound",
        "_elsewhere",
        "_environment",
        "_main",
        "_releases",
        "_replica",
        "_words",
        "bytes_read",
        "timestamp",
    )

    def __init__(
        self,
        replica: ReadableEnvironment,
        timestamp: int,
        elsewhere: Elsewhere = nowhere_else,
        *,
        careful: bool = False,
    ) -> None:
        """`careful`: every row takes the slow road, where its checksum is verified."""
        self.timestamp = timestamp
        self.bytes_read = 0
        self._bound = b"" if careful else snapshot_bound(timestamp)
        self._elsewhere = elsewhere
        self._enter(replica)

    def _enter(self, replica: ReadableEnvironment) -> None:
        self._replica = replica
        self._environment = replica.environment
        self._main = replica.databases.main
        self._words = words = replica.board.words
        releases = words[RELEASES]
        self._releases = releases if words[HORIZON] <= self.timestamp else _NEVER

    def get(self, key: bytes) -> bytes | None:
        """Return the value of `key` at the timestamp, None if there is none."""
        if len(key) > INLINE_BYTES:
            return self._get_slowly(key)
        try:
            transaction = _begin(self._environment, self._main)
            value = transaction.get(key)
            transaction.abort()
        except lmdb.Error:
            return self._get_slowly(key)
        if self._words[RELEASES] != self._releases:
            return self._get_slowly(key)
        if value is not None:
            if value >= self._bound:
                return self._get_slowly(key)
            value = value[HEADER_BYTES:]
            self.bytes_read += len(value)
        return value

    def scan(self, low: bytes, high: bytes, *, reverse: bool = False) -> Iterator[Row]:
        """Return the rows with low <= key < high as (key, value), in key order or reversed.

        The first rows are read at once: most ranges are short, and then no generator is needed.
        """
        start, end = stored_low(low), stored_high(high)
        walk = self._walk_backward if reverse else self._walk
        try:
            with _begin(self._environment) as transaction:
                raw = walk(transaction, start, end, _FIRST_CHUNK_ROWS)
                rows = self._visible(transaction, raw, reverse)
        except _MISREAD:
            raw, rows = self._chunk(start, end, _FIRST_CHUNK_ROWS, reverse)
        else:
            if self._words[RELEASES] != self._releases:
                raw, rows = self._chunk(start, end, _FIRST_CHUNK_ROWS, reverse)
        if len(low) > INLINE_BYTES or len(high) > INLINE_BYTES:
            rows = [row for row in rows if low <= row[0] < high]
        self.bytes_read += _bytes_of(raw)
        if len(raw) < _FIRST_CHUNK_ROWS:
            return iter(rows)
        return chain(rows, chain.from_iterable(self._chunks(low, high, raw, reverse)))

    def pieces(self, low: bytes, high: bytes, *, reverse: bool = False) -> Iterator[list[Row]]:
        """Yield the rows of `scan` in lists, for an event loop.

        Little is read for each, so that they are empty where keys were deleted. Nothing is held between.
        """
        start, end = stored_low(low), stored_high(high)
        raw, rows = self._chunk(start, end, _FIRST_CHUNK_ROWS, reverse)
        yield [row for row in rows if low <= row[0] < high]
        yield from self._chunks(low, high, raw, reverse, _PIECE_ROWS_MAX)

    def is_outdated(self, keys: Iterable[bytes], since: int) -> bool:
        """Return whether one of `keys` has a version from behind `since`; long ones are not looked up."""
        short = [key for key in keys if len(key) <= INLINE_BYTES]

        def find(transaction: LmdbTransaction) -> bool:
            found = (transaction.get(key, db=self._main) for key in short)
            return any(newest and committed_at(newest) > since for newest in found)

        return self._read(find)

    def may_have(self, keys: Iterable[bytes]) -> bool:
        """Return whether the replica has one of `keys` in any version; long ones may stand for others."""
        stored = [stored_key(key) for key in keys]

        def find(transaction: LmdbTransaction) -> bool:
            return any(transaction.get(key, db=self._main) is not None for key in stored)

        return self._read(find)

    def _chunks(
        self,
        low: bytes,
        high: bytes,
        raw: list[Row],
        reverse: bool,
        rows_max: int = _CHUNK_ROWS_MAX,
    ) -> Iterator[list[Row]]:
        """Yield the rows that follow the raw ones, in lists of growing length."""
        start, end = stored_low(low), stored_high(high)
        size = _FIRST_CHUNK_ROWS
        while len(raw) >= size:
            if reverse:
                end = raw[-1][0]
            else:
                start = raw[-1][0] + b"\x00"
            size = _next_size(size, raw, rows_max)
            raw, rows = self._chunk(start, end, size, reverse)
            if len(low) > INLINE_BYTES or len(high) > INLINE_BYTES:
                rows = [row for row in rows if low <= row[0] < high]
            self.bytes_read += _bytes_of(raw)
            yield rows

    def _begin(self) -> LmdbTransaction:
        try:
            return _begin(self._environment)
        except lmdb.MapResizedError:
            self._replica.follow_growth()
            return _begin(self._environment)

    def _read(self, find: Callable[[LmdbTransaction], Found]) -> Found:
        """Return what `find` finds in one LMDB transaction whose pages were kept until it was over.

        Raises SqlError 72000 below the horizon, 58000 if the writer is always faster or nothing is sound.
        """
        for _ in range(_READS_MAX):
            self._releases = self._words[RELEASES]
            try:
                found = self._attempt(find)
            except _MISREAD as damage:
                self._enter(self._elsewhere(self._replica, self.timestamp, damage))
                continue
            if self._words[RETIRED]:
                self._enter(self._elsewhere(self._replica, self.timestamp, None))
            elif found is not None:
                return found[0]
        raise SqlError("58000", "a storage replica changes faster than it can be read")

    def _attempt(self, find: Callable[[LmdbTransaction], Found]) -> tuple[Found] | None:
        """Return what `find` finds, None if its pages were not kept. Raises _MISREAD if they were."""
        with self._begin() as transaction:
            identifier = transaction.id()
            try:
                found = find(transaction)
            except _MISREAD:
                if self._kept(identifier):
                    raise
                return None
        return (found,) if self._kept(identifier) else None

    def _kept(self, identifier: int) -> bool:
        """Return whether everything that an LMDB transaction has read was still there."""
        words = self._words
        if words[HORIZON] > self.timestamp:
            self._releases = _NEVER
            raise snapshot_too_old()
        return words[KEPT] <= identifier

    def _get_slowly(self, key: bytes) -> bytes | None:
        stored = stored_key(key)

        def find(transaction: LmdbTransaction) -> Row | None:
            newest = transaction.get(stored, db=self._main)
            if newest is None:
                return None
            return open_version(stored, self._version(transaction, stored, newest))

        row = self._read(find)
        if row is None or row[0] != key:
            return None
        self.bytes_read += len(row[1])
        return row[1]

    def _version(self, transaction: LmdbTransaction, stored: bytes, newest: bytes) -> bytes | None:
        undo = self._replica.databases.undo
        return version_at(transaction, undo, stored, newest, self.timestamp)

    def _chunk(
        self, start: bytes, end: bytes, size: int, reverse: bool
    ) -> tuple[list[Row], list[Row]]:
        """Return up to `size` raw rows of main and the visible ones, all of a last group of long keys."""
        walk = self._walk_backward if reverse else self._walk

        def find(transaction: LmdbTransaction) -> tuple[list[Row], list[Row]]:
            raw = walk(transaction, start, end, size)
            return raw, self._visible(transaction, raw, reverse)

        return self._read(find)

    def _walk(self, transaction: LmdbTransaction, start: bytes, end: bytes, size: int) -> list[Row]:
        cursor = transaction.cursor(db=self._main)
        if not cursor.set_range(start):
            return []
        rows = cursor.iternext()
        if size > _FIRST_CHUNK_ROWS:
            raw = list(islice(rows, size))
            if raw and raw[-1][0] >= end:
                del raw[bisect_left(raw, (end,)) :]
        else:
            # Short ranges are the rule: take no row beyond the end.
            raw = []
            for row in rows:
                if row[0] >= end:
                    break
                raw.append(row)
                if len(raw) == size:
                    break
        if len(raw) == size:
            finish_group(raw, rows)
        return raw

    def _walk_backward(
        self, transaction: LmdbTransaction, start: bytes, end: bytes, size: int
    ) -> list[Row]:
        """Do `_walk` from `end` downwards."""
        cursor = transaction.cursor(db=self._main)
        if not (cursor.prev() if cursor.set_range(end) else cursor.last()):
            return []
        raw: list[Row] = []
        rows = cursor.iterprev()
        for row in rows:
            if row[0] < start:
                break
            raw.append(row)
            if len(raw) == size:
                finish_group(raw, rows)
                break
        return raw

    def _visible(self, transaction: LmdbTransaction, raw: list[Row], reverse: bool) -> list[Row]:
        """Return what raw rows are at the timestamp."""
        bound = self._bound
        rows = [(key, value[HEADER_BYTES:]) for key, value in raw if value < bound]
        if len(rows) == len(raw):
            return rows
        return self._visible_slowly(transaction, raw, reverse)

    def _visible_slowly(
        self, transaction: LmdbTransaction, raw: list[Row], reverse: bool
    ) -> list[Row]:
        """Look into undo for newer rows, leave tombstones out, put groups of long keys in order."""
        rows: list[Row] = []
        group: list[Row] = []
        prefix = b""
        for stored, newest in raw:
            if group and not stored.startswith(prefix):
                rows += sorted(group, reverse=reverse)
                group = []
            row = open_version(stored, self._version(transaction, stored, newest))
            if len(stored) == STORED_LONG_BYTES:
                prefix = stored[:INLINE_BYTES]
                if row is not None:
                    group.append(row)
            elif row is not None:
                if group:
                    rows += sorted(group, reverse=reverse)
                    group = []
                rows.append(row)
        return rows + sorted(group, reverse=reverse)


def _bytes_of(rows: list[Row]) -> int:
    return sum(map(len, chain.from_iterable(rows)))


def _next_size(size: int, raw: list[Row], rows_max: int) -> int:
    """Return how many rows the next chunk takes: more, but few megabytes by the look of a sample."""
    sample = raw[::8]
    row_bytes = sum(len(value) for _, value in sample) // len(sample) + 1
    return max(_FIRST_CHUNK_ROWS, min(size * 4, rows_max, _CHUNK_BYTES // row_bytes))
