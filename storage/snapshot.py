"""Reads at one timestamp from a mapped environment.

LMDB transactions live for one get or one chunk of a scan, never across a caller's pause: the snapshot is
the timestamp. A scan takes its rows in chunks that grow, and goes on after the last stored key that it
has seen; it does not matter that the next chunk comes from a later state of the environment.

After every read the horizon is compared with the timestamp. Whatever garbage collection took away, it
published the horizon for before, so a read that might have missed a version fails.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING

import lmdb

from dsql.errors import SqlError
from storage.board import HORIZON
from storage.environment import ReadableEnvironment
from storage.long_keys import HASH_BYTES, INLINE_BYTES, stored_high, stored_key, stored_low
from storage.mvcc import HEADER_BYTES, committed_at, open_version, snapshot_bound, version_at

if TYPE_CHECKING:
    from storage.databases import LmdbTransaction

_FIRST_CHUNK_ROWS = 32
_CHUNK_ROWS_MAX = 1_024
_CHUNK_BYTES = 4 * 1024 * 1024
_STORED_LONG_BYTES = INLINE_BYTES + HASH_BYTES

_begin = lmdb.Transaction

Row = tuple[bytes, bytes]


def snapshot_too_old() -> SqlError:
    """Return the error of a read below the horizon of garbage collection."""
    return SqlError("72000", "snapshot too old")


def no_replica() -> SqlError:
    """Return the error of a read that no replica could serve in time."""
    return SqlError("58000", "no storage replica has reached the transaction's start timestamp")


class LocalSnapshot:
    """A `dsql.transaction.interface.Snapshot` over a replica on this host.

    The replica has reached `timestamp`; `storage.client.LocalReplica` waits for that before it makes one.
    """

    __slots__ = ("_bound", "_environment", "_handle", "_main", "_replica", "_words", "timestamp")

    def __init__(self, replica: ReadableEnvironment, timestamp: int) -> None:
        self.timestamp = timestamp
        self._bound = snapshot_bound(timestamp)
        self._replica = replica
        self._environment = replica.environment
        self._main = replica.databases.main
        self._words = replica.board.words

    def get(self, key: bytes) -> bytes | None:
        """Return the value of `key` at the timestamp, None if there is none."""
        if len(key) > INLINE_BYTES:
            return self._get_slowly(key)
        try:
            transaction = _begin(self._environment, self._main)
        except lmdb.MapResizedError:
            return self._get_slowly(key)
        value = transaction.get(key)
        transaction.abort()
        if value is not None:
            if value >= self._bound:
                return self._get_slowly(key)
            value = value[HEADER_BYTES:]
        if self._words[HORIZON] > self.timestamp:
            raise snapshot_too_old()
        return value

    def scan(self, low: bytes, high: bytes, *, reverse: bool = False) -> Iterator[Row]:
        """Return the rows with low <= key < high as (key, value), in key order or reversed.

        The first rows are read at once: most ranges are short, and then no generator is needed.
        """
        start, end = stored_low(low), stored_high(high)
        raw = self._read(start, end, _FIRST_CHUNK_ROWS, reverse)
        rows = self._visible(raw, low, high, reverse)
        if len(raw) < _FIRST_CHUNK_ROWS:
            return iter(rows)
        return chain(rows, chain.from_iterable(self._chunks(low, high, raw, reverse)))

    def is_outdated(self, keys: Iterable[bytes]) -> bool:
        """Return whether one of `keys` has a newer version in the replica; long ones are not looked up."""
        with self._begin() as transaction:
            for key in keys:
                newest = transaction.get(key, db=self._main) if len(key) <= INLINE_BYTES else None
                if newest is not None and committed_at(newest) > self.timestamp:
                    return True
        return False

    def may_have(self, keys: Iterable[bytes]) -> bool:
        """Return whether the replica has one of `keys` in any version; long ones may stand for others."""
        main = self._main
        with self._begin() as transaction:
            for key in keys:
                if transaction.get(stored_key(key), db=main) is not None:
                    return True
        self._check_horizon()
        return False

    def _chunks(
        self, low: bytes, high: bytes, raw: list[Row], reverse: bool
    ) -> Iterator[list[Row]]:
        """Yield the rows that follow the raw ones, in lists of growing length."""
        start, end = stored_low(low), stored_high(high)
        size = _FIRST_CHUNK_ROWS
        while len(raw) >= size:
            if reverse:
                end = raw[-1][0]
            else:
                start = raw[-1][0] + b"\x00"
            size = _next_size(size, raw)
            raw = self._read(start, end, size, reverse)
            yield self._visible(raw, low, high, reverse)

    def _begin(self) -> LmdbTransaction:
        try:
            return _begin(self._environment)
        except lmdb.MapResizedError:
            self._replica.follow_growth()
            return _begin(self._environment)

    def _get_slowly(self, key: bytes) -> bytes | None:
        stored = stored_key(key)
        with self._begin() as transaction:
            newest = transaction.get(stored, db=self._main)
            version = None if newest is None else self._version(transaction, stored, newest)
        self._check_horizon()
        row = open_version(stored, version)
        return None if row is None or row[0] != key else row[1]

    def _version(self, transaction: LmdbTransaction, stored: bytes, newest: bytes) -> bytes | None:
        undo = self._replica.databases.undo
        return version_at(transaction, undo, stored, newest, self.timestamp)

    def _check_horizon(self) -> None:
        if self._words[HORIZON] > self.timestamp:
            raise snapshot_too_old()

    def _read(self, start: bytes, end: bytes, size: int, reverse: bool) -> list[Row]:
        """Return up to `size` raw rows of main, and the rest of a group of long keys after them."""
        if reverse:
            return self._read_backward(start, end, size)
        with self._begin() as transaction:
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
                _finish_group(raw, rows)
        return raw

    def _read_backward(self, start: bytes, end: bytes, size: int) -> list[Row]:
        """Do `_read` from `end` downwards."""
        with self._begin() as transaction:
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
                    _finish_group(raw, rows)
                    break
        return raw

    def _visible(self, raw: list[Row], low: bytes, high: bytes, reverse: bool) -> list[Row]:
        """Return what raw rows are at the timestamp, without those that only long bounds leave out."""
        bound = self._bound
        rows = [(key, value[HEADER_BYTES:]) for key, value in raw if value < bound]
        if len(rows) != len(raw):
            rows = self._visible_slowly(raw, reverse)
        if len(low) > INLINE_BYTES or len(high) > INLINE_BYTES:
            rows = [row for row in rows if low <= row[0] < high]
        if self._words[HORIZON] > self.timestamp:
            raise snapshot_too_old()
        return rows

    def _visible_slowly(self, raw: list[Row], reverse: bool) -> list[Row]:
        """Look into undo for newer rows, leave tombstones out, put groups of long keys in order."""
        rows: list[Row] = []
        group: list[Row] = []
        prefix = b""
        with self._begin() as transaction:
            for stored, newest in raw:
                if group and not stored.startswith(prefix):
                    rows += sorted(group, reverse=reverse)
                    group = []
                row = open_version(stored, self._version(transaction, stored, newest))
                if len(stored) == _STORED_LONG_BYTES:
                    prefix = stored[:INLINE_BYTES]
                    if row is not None:
                        group.append(row)
                elif row is not None:
                    if group:
                        rows += sorted(group, reverse=reverse)
                        group = []
                    rows.append(row)
        return rows + sorted(group, reverse=reverse)


def _finish_group(raw: list[Row], rows: Iterator[Row]) -> None:
    """Take the remaining rows of the group of long keys that `raw` ends in."""
    last = raw[-1][0]
    if len(last) != _STORED_LONG_BYTES:
        return
    prefix = last[:INLINE_BYTES]
    for row in rows:
        if len(row[0]) != _STORED_LONG_BYTES or not row[0].startswith(prefix):
            return
        raw.append(row)


def _next_size(size: int, raw: list[Row]) -> int:
    """Return how many rows the next chunk takes: more, but few megabytes by the look of a sample."""
    sample = raw[::8]
    row_bytes = sum(len(value) for _, value in sample) // len(sample) + 1
    return max(_FIRST_CHUNK_ROWS, min(size * 4, _CHUNK_ROWS_MAX, _CHUNK_BYTES // row_bytes))
