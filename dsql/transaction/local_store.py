"""What sessions have for themselves: the rows and the catalog of their temporary tables.

    process   LocalSpace   an LMDB environment in a file without a name, which goes with the process
    session   LocalStore   a database in it, by a number; removed as a whole when the session ends

Nothing is synced and nothing is journaled. A transaction's writes come in one LMDB transaction, at its
commit; between two commits a store does not change, so reads at any time of a transaction are of one state.
An environment has one writer at a time: `dsql.session.interrupts` lets nobody else's turn come in here.
Who gives up a keyspace deletes its prefix; its keys then go some at a time, with the commits that follow.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING

import lmdb

from dsql.encoding.keyspace import PREFIX_BYTES, is_local
from dsql.encoding.long_keys import (
    INLINE_BYTES,
    STORED_LONG_BYTES,
    finish_group,
    stored_high,
    stored_key,
    stored_low,
    unwrap,
    wrap,
)
from dsql.errors import SqlError
from dsql.limits import (
    SESSIONS_PER_PROCESS_MAX,
    STATEMENTS_AT_THEIR_LIMIT,
    TEMPORARY_BYTES_MAX,
)
from dsql.transaction.interface import LocalWrite

if TYPE_CHECKING:
    LmdbTransaction = lmdb.Transaction[bytes]

Row = tuple[bytes, bytes]

_MAP_BYTES = STATEMENTS_AT_THEIR_LIMIT * TEMPORARY_BYTES_MAX
_DISK_BYTES_MIN = 256 * 1024 * 1024  # what has to be left of the disk, which the journals may share
_ENTRY_BYTES = 16  # what LMDB adds to key and value
_FIRST_CHUNK_ROWS = 32
_CHUNK_ROWS_MAX = 1_024
_GIVEN_UP_PER_COMMIT = 20_000  # rows of keyspaces that were given up: some ten milliseconds

_begin = lmdb.Transaction


class LocalSpace:
    """The environment, made when it is opened or first needed. `open_file` returns an empty file.

    In a sandbox nobody can make a file, so it is opened before.
    """

    def __init__(self, open_file: Callable[[], int], bytes_max: int = _MAP_BYTES) -> None:
        self._open_file = open_file
        self._bytes_max = bytes_max
        self._environment: lmdb.Environment | None = None
        self._descriptor = -1
        self._stores: dict[int, LocalStore] = {}

    def open(self) -> None:
        """Make the file now, as long as there may be one made. Raises SqlError 53100, 58030."""
        _ = self.environment

    @property
    def environment(self) -> lmdb.Environment:
        """The environment. Raises SqlError 53100, 58030 if there is none and can be none."""
        if self._environment is None:
            try:
                self._environment = self._make()
            except (OSError, lmdb.Error) as error:
                raise _failed(error) from None
        return self._environment

    def _make(self) -> lmdb.Environment:
        self._descriptor = descriptor = self._open_file()
        return lmdb.open(
            f"/proc/self/fd/{descriptor}",  # LMDB opens by name, and this is one
            subdir=False,
            map_size=self._bytes_max,
            lock=False,
            sync=False,
            metasync=False,
            max_dbs=SESSIONS_PER_PROCESS_MAX,
        )

    @property
    def sizes(self) -> list[int]:
        """The bytes of every session's store."""
        return [store.size for store in self._stores.values()]

    def new_store(self, limit: Callable[[], int]) -> LocalStore:
        """Return an empty store; `limit` tells how many bytes it may take. Raises SqlError 53100, 58030."""
        number = 1
        while number in self._stores:
            number += 1
        store = self._stores[number] = LocalStore(self, number, limit)
        return store

    def forget(self, store: LocalStore) -> None:
        """Take a store off the list that is no more."""
        del self._stores[store.number]

    def check_room(self, size: int) -> None:
        """Raise SqlError 53100 if there may be no room for `size` bytes more."""
        disk = os.fstatvfs(self._descriptor)
        left = disk.f_bavail * disk.f_frsize - _DISK_BYTES_MIN
        if min(left, self._bytes_max - sum(self.sizes)) < 2 * size:  # pages are half full at least
            raise _failed(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))

    def close(self) -> None:
        """Forget everything."""
        if self._environment is not None:
            self._environment.close()
            os.close(self._descriptor)
            self._environment = None


class LocalStore:
    """One session's, by keys that are local. `number` is from 1, and of no other store of the process."""

    def __init__(self, space: LocalSpace, number: int, limit: Callable[[], int]) -> None:
        self._space = space
        self._limit = limit
        self.number = number
        self._environment = space.environment
        try:
            self._database = self._environment.open_db(b"%d" % number)
        except lmdb.Error as error:
            raise _failed(error) from None
        self._given_up: list[bytes] = []
        self.size = 0  # bytes of its pages

    def get(self, key: bytes) -> bytes | None:
        """Return the value of `key`, None if there is none."""
        transaction = _begin(self._environment, self._database)
        content = transaction.get(stored_key(key))
        transaction.abort()
        if content is None or len(key) <= INLINE_BYTES:
            return content
        whole, value = unwrap(content)
        return value if whole == key else None

    def scan(self, low: bytes, high: bytes, *, reverse: bool = False) -> Iterator[Row]:
        """Yield (key, value) with low <= key < high, in key order or reversed."""
        assert is_local(low), "others are elsewhere"
        start, end, size = stored_low(low), stored_high(high), _FIRST_CHUNK_ROWS
        while True:
            raw = self._chunk(start, end, size, reverse)
            yield from _in_order(raw, low, high, reverse)
            if len(raw) < size:
                return
            start, end = (start, raw[-1][0]) if reverse else (raw[-1][0] + b"\0", end)
            size = min(size * 4, _CHUNK_ROWS_MAX)

    def _chunk(self, start: bytes, end: bytes, size: int, reverse: bool) -> list[Row]:
        """Return up to `size` stored rows of start <= key < end, and all of a last group of long keys."""
        with _begin(self._environment, self._database) as transaction:
            cursor = transaction.cursor()
            if reverse:
                found = cursor.prev() if cursor.set_range(end) else cursor.last()
                rows = cursor.iterprev() if found else iter(())
            else:
                rows = cursor.iternext() if cursor.set_range(start) else iter(())
            raw: list[Row] = []
            for row in islice(rows, size):
                if not start <= row[0] < end:
                    return raw
                raw.append(row)
            if len(raw) == size:
                finish_group(raw, rows)
            return raw

    def may_have(self, keys: Iterable[bytes]) -> bool:
        """Return whether one of `keys` has a value."""
        return any(self.get(key) is not None for key in keys)

    def reserve(self, writes: list[LocalWrite]) -> None:
        """See to it that `apply` has room. Raises SqlError 53400 if it has not, 53100 for a full disk."""
        size = sum(
            len(key) + len(value) + _ENTRY_BYTES for key, value in writes if value is not None
        )
        limit = self._limit()
        while self.size + size > limit and self._given_up:
            self._change(())
        if self.size + size > limit:
            message = f"temporary file size exceeds temp_file_limit ({limit // 1024}kB)"
            raise SqlError("53400", message)
        self._space.check_room(size)

    def apply(self, writes: list[LocalWrite]) -> None:
        """Take what a transaction has written: all, or nothing with SqlError 53100 or 58030."""
        gone = {key for key, value in writes if value is None and len(key) == PREFIX_BYTES}
        self._change([write for write in writes if write[0][:PREFIX_BYTES] not in gone], gone)

    def _change(self, writes: Iterable[LocalWrite], gone: Iterable[bytes] = ()) -> None:
        given_up = [*self._given_up, *gone]
        try:
            with _begin(self._environment, self._database, write=True) as transaction:
                for key, value in writes:
                    _write(transaction, key, value)
                self._given_up = _without_some(transaction, given_up)
                pages = transaction.stat(self._database)
        except lmdb.Error as error:
            raise _failed(error) from None
        count = pages["branch_pages"] + pages["leaf_pages"] + pages["overflow_pages"]
        self.size = count * pages["psize"]

    def close(self) -> None:
        """Remove everything. The store must not be used any more."""
        with suppress(lmdb.Error), _begin(self._environment, write=True) as transaction:
            transaction.drop(self._database, delete=True)
        self._space.forget(self)


def _write(transaction: LmdbTransaction, key: bytes, value: bytes | None) -> None:
    if value is None:
        transaction.delete(stored_key(key))
    elif len(key) > INLINE_BYTES:
        transaction.put(stored_key(key), wrap(key, value))
    else:
        transaction.put(key, value)


def _without_some(transaction: LmdbTransaction, prefixes: list[bytes]) -> list[bytes]:
    """Remove some rows of keyspaces that were given up; return those that may have more."""
    cursor, left = transaction.cursor(), _GIVEN_UP_PER_COMMIT
    while prefixes and left:
        if cursor.set_range(prefixes[-1]) and cursor.key().startswith(prefixes[-1]):
            cursor.delete()
            left -= 1
        else:
            prefixes.pop()
    return prefixes


def _in_order(raw: list[Row], low: bytes, high: bytes, reverse: bool) -> list[Row]:
    """Return what stored rows are. Only groups of long keys, which are whole, stand in another order."""
    if not any(len(stored) == STORED_LONG_BYTES for stored, _ in raw):
        return raw
    rows = [
        unwrap(content) if len(stored) == STORED_LONG_BYTES else (stored, content)
        for stored, content in raw
    ]
    return sorted((row for row in rows if low <= row[0] < high), reverse=reverse)


def _failed(error: Exception) -> SqlError:
    full = isinstance(error, lmdb.MapFullError | lmdb.DiskError) or (
        isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    )
    reason = os.strerror(errno.ENOSPC) if full else str(error)
    return SqlError("53100" if full else "58030", f"could not write to temporary file: {reason}")
