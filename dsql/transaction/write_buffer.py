"""The transaction's own writes: latest value by key, in key order when asked for, and what they amount to.

Every entry remembers in which statement it was made and what it replaced, so a statement's scans can leave
out what the same statement has written, and a savepoint is nothing but a statement's number.
Keys are sorted from the first scan on only: transactions that just insert never pay for order.

What the buffer holds is bounded: the write that makes it larger than a commit may be raises the error at
once; where there are temporary tables it may hold more, and a commit that is too large fails itself. What
later statements have replaced is kept for savepoints and bounded as well.
"""

from __future__ import annotations

import sys
from bisect import bisect_left, insort
from collections.abc import Iterator

import msgspec

from dsql.encoding.keycode import check_key_size
from dsql.encoding.keyspace import is_local
from dsql.errors import SqlError
from dsql.limits import ROW_BYTES_MAX, TRANSACTION_BYTES_MAX
from dsql.transaction.interface import LocalWrite, Mode, Notification, WriteSet
from dsql.transaction.record import BufferRecord, Version

Row = tuple[bytes, bytes]
Delays = tuple[int, ...]

_MEGABYTE = 1024 * 1024
# A replaced write may come back with a savepoint; so many times a transaction's size of them are kept.
_REPLACED_TIMES_MAX = 4
_ENTRY_BYTES = 100  # what an entry takes besides key and value


def _modified_inside() -> SqlError:
    """Return the error of a row that a function of the running statement has written already."""
    return SqlError(
        "27000",
        "tuple to be updated was already modified by an operation triggered by the current command",
        hint="Consider using an AFTER trigger instead of a BEFORE trigger to propagate changes to "
        "other rows.",
    )


class Entry(msgspec.Struct, gc=False):
    """One write of one key; `earlier` is the write it replaced, of this or an earlier statement."""

    value: bytes | None
    mode: Mode
    statement: int
    earlier: Entry | None


class WriteBuffer:
    """Writes and checks of one transaction. `rows_max` None: any number of rows.

    `bytes_max` may be set; `entries` is public for the hot path of reads, and changed by the methods only.
    `found_at` says when keys were found as they are, where that was before the present snapshot.
    `notifications` are in their order, each with the number of the statement that has made it first.
    """

    __slots__ = (
        "_locked",
        "_replaced",
        "_rows",
        "_rows_max",
        "_sorted",
        "bytes_max",
        "checks",
        "entries",
        "found_at",
        "inner_statements",
        "last_statement",
        "notifications",
        "size",
        "statement",
    )

    def __init__(self, rows_max: int | None, bytes_max: int = TRANSACTION_BYTES_MAX) -> None:
        self._rows_max = rows_max
        self.bytes_max = bytes_max
        self.entries: dict[bytes, Entry] = {}
        self.checks: dict[bytes, Mode] = {}
        self.found_at: dict[bytes, int] = {}
        self.notifications: dict[Notification, int] = {}
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.entries.clear()
        self.checks.clear()
        if self.found_at:
            self.found_at.clear()
        if self.notifications:
            self.notifications.clear()
        self._sorted: list[bytes] | None = None
        self._rows = 0
        self.size = 0  # bytes of keys and values, a little less than what a commit would carry
        self._replaced = 0  # bytes of what later statements have written over
        self._locked = 0  # bytes of the keys of checks
        self.statement = 0
        self.last_statement = 0  # which is a later one while a statement's function runs statements
        self.inner_statements = 0

    def begin_statement(self) -> int:
        """Begin a statement; see `dsql.transaction.interface`."""
        self.last_statement = self.statement = number = self.last_statement + 1
        return number

    def begin_inner(self) -> int:
        """Begin a statement inside the running one; return what `end_inner` takes."""
        outer = self.statement or self.begin_statement()
        self.begin_statement()
        self.inner_statements += 1
        return outer

    def end_inner(self, outer: int) -> None:
        """Go on with the statement that another one was inside of: it does not see what that wrote."""
        assert outer < self.last_statement
        self.statement = outer

    def write(self, key: bytes, value: bytes | None, mode: Mode, row: bool) -> None:
        """Put `value` (None deletes) under `key`; the stricter mode of an earlier write stays.

        Raises SqlError 54000 for a key, row or transaction that is too large, or one row too many.
        """
        check_key_size(key)
        if row:
            self._count_row(value)
        entries = self.entries
        earlier = entries.get(key)
        if earlier is None:
            self.size += len(key) if value is None else len(key) + len(value)
            entries[key] = Entry(value, mode, self.statement, None)
            if self._sorted is not None:
                insort(self._sorted, key)
        else:
            if row and earlier.statement > self.statement:
                raise _modified_inside()
            self._replace(key, value, mode, earlier)
        if self.size > self.bytes_max:
            raise transaction_too_large(self.size, self.bytes_max)

    def _replace(self, key: bytes, value: bytes | None, mode: Mode, earlier: Entry) -> None:
        mode = min(mode, earlier.mode)
        before = len(earlier.value or b"")
        self.size += len(value or b"") - before
        if earlier.statement >= self.statement:  # later: a statement inside the running one
            earlier.value = value
            earlier.mode = mode
            return
        self._replaced += before + _ENTRY_BYTES
        if self._replaced > self.bytes_max * _REPLACED_TIMES_MAX:
            raise transaction_too_large(self.size + self._replaced, self.bytes_max)
        self.entries[key] = Entry(value, mode, self.statement, earlier)

    @property
    def room(self) -> int:
        """How many more rows the transaction may modify."""
        return sys.maxsize if self._rows_max is None else self._rows_max - self._rows

    def write_rows(self, rows: dict[bytes, bytes]) -> None:
        """Put new rows, not more than there is `room` for; their own sizes have been checked.

        Raises SqlError 54000 if they may be too many bytes for the transaction, and has put none then:
        who puts them one by one learns which of them is the one too many.
        """
        entries, statement, mode = self.entries, self.statement, Mode.EXCLUSIVE
        size = self.size + sum(map(len, rows)) + sum(map(len, rows.values()))
        if size > self.bytes_max:
            raise transaction_too_large(size, self.bytes_max)
        if not entries.keys().isdisjoint(rows):  # the transaction has deleted some of them before
            for key, value in rows.items():
                self.write(key, value, mode, True)
            return
        for key, value in rows.items():
            entries[key] = Entry(value, mode, statement, None)
        self._rows += len(rows)
        self.size = size
        self._sorted = None

    def _count_row(self, value: bytes | None) -> None:
        if value is not None and len(value) > ROW_BYTES_MAX:
            raise SqlError("54000", "maximum row size exceeded")
        self._rows += 1
        if self._rows_max is not None and self._rows > self._rows_max:
            raise too_many_rows()

    def check(self, key: bytes, mode: Mode) -> None:
        """Lock or verify `key` without writing it; the stricter mode stays. Raises SqlError 54000."""
        earlier = self.checks.get(key)
        if earlier is not None:
            self.checks[key] = min(mode, earlier)
            return
        self.checks[key] = mode
        self._locked += len(key)
        if self._locked > self.bytes_max:
            raise transaction_too_large(self._locked, self.bytes_max)

    def notify(self, notification: Notification) -> None:
        """Have it told at the commit, once. Raises SqlError 54000."""
        if notification not in self.notifications:
            self.notifications[notification] = self.statement
            self.size += _size_of(notification)
            if self.size > self.bytes_max:
                raise transaction_too_large(self.size, self.bytes_max)

    @property
    def has_locks(self) -> bool:
        """True if a check is a lock, which has to be decided at commit even without any write."""
        return any(mode != Mode.CATALOG for mode in self.checks.values())

    def exclusive_keys(self) -> list[bytes]:
        """Return the written keys that nobody else may have written meanwhile."""
        return [key for key, entry in self.entries.items() if entry.mode <= Mode.NON_KEY]

    def locked_keys(self) -> list[bytes]:
        """Return the keys that are locked against all who write them."""
        return [key for key, mode in self.checks.items() if mode <= Mode.NON_KEY]

    def note_found(self, timestamp: int) -> None:
        """Note that what was written and checked until now was found at a timestamp, the present one."""
        found_at = self.found_at
        for keys in (self.entries, self.checks):
            for key in keys:
                if key not in found_at:
                    found_at[key] = timestamp

    def overlay(self, low: bytes, high: bytes) -> list[tuple[bytes, bytes | None]]:
        """Return (key, value) of the writes with low <= key < high that the running statement sees."""
        keys = self._sorted
        if keys is None:
            self._sorted = keys = sorted(self.entries)
        found: list[tuple[bytes, bytes | None]] = []
        for position in range(bisect_left(keys, low), bisect_left(keys, high)):
            key = keys[position]
            entry = self.before_statement(self.entries[key])
            if entry is not None:
                found.append((key, entry.value))
        return found

    def before_statement(self, entry: Entry) -> Entry | None:
        """Return the write of a key that the running statement sees, given the key's latest one."""
        # Statement 0 stands for a transaction whose statements nobody announces. Later ones than the
        # running one are those of its functions.
        found: Entry | None = entry
        while found is not None and found.statement >= self.statement > 0:
            found = found.earlier
        return found

    def rewind(self, statement: int) -> None:
        """Take back what `statement` and later ones have written or told. Checks and counted rows stay."""
        for notification, made in list(self.notifications.items()):
            if made >= statement:
                del self.notifications[notification]
                self.size -= _size_of(notification)
        kept: dict[bytes, Entry] = {}
        for key, newest in self.entries.items():
            entry: Entry | None = newest
            self.size -= len(key) + len(newest.value or b"")
            while entry is not None and entry.statement >= statement:
                entry = entry.earlier
                self._replaced -= 0 if entry is None else len(entry.value or b"") + _ENTRY_BYTES
            if entry is not None:
                kept[key] = entry
                self.size += len(key) + len(entry.value or b"")
        for key in self.entries.keys() - kept.keys() if self.found_at else ():
            if key not in self.checks:
                self.found_at.pop(key, None)
        self.entries.clear()
        self.entries.update(kept)
        self._sorted = None

    def forget(self, prefixes: tuple[bytes, ...]) -> None:
        """Take back every write below one of these prefixes, in whatever statement it was made."""
        for key in [key for key in self.entries if key.startswith(prefixes)]:
            del self.entries[key]
        self._sorted = None

    def take_local(self) -> list[LocalWrite]:
        """Take out what is the session's own, for a commit; return its writes. Nobody else locks it."""
        writes = [(key, entry.value) for key, entry in self.entries.items() if is_local(key)]
        for key, _ in writes:
            del self.entries[key]
        for key in [key for key in self.checks if is_local(key)]:
            del self.checks[key]
        return writes

    def record(self) -> BufferRecord:
        """Return all of it for another process."""
        writes = tuple((key, tuple(_versions(entry))) for key, entry in self.entries.items())
        checks, notifications = tuple(self.checks.items()), tuple(self.notifications.items())
        found_at = tuple(self.found_at.items())
        return BufferRecord(
            self.last_statement, self._rows, writes, checks, notifications, found_at
        )

    def take_up(self, record: BufferRecord) -> None:
        """Become what another buffer was. Raises ValueError for what none can have been."""
        for key, versions in record.writes:
            self._take_up(key, versions)
            if versions[-1][2] > record.statement:
                raise ValueError("a write of a statement that is still to come")
        self.checks.update(record.checks)
        self.notifications.update(record.notifications)
        self.found_at.update(record.found_at)
        self.size += sum(map(_size_of, self.notifications))
        self._locked = sum(map(len, self.checks))
        self.statement = self.last_statement = record.statement
        self._rows = record.rows
        if len(self.entries) != len(record.writes) or len(self.checks) != len(record.checks):
            raise ValueError("a key that stands twice")

    def _take_up(self, key: bytes, versions: tuple[Version, ...]) -> None:
        numbers = [statement for _, _, statement in versions]
        if not numbers or numbers != sorted(set(numbers)):
            raise ValueError("versions that no statements have left in this order")
        entry = None
        for value, mode, statement in versions:
            entry = Entry(value, mode, statement, entry)
            self._replaced += len(value or b"") + _ENTRY_BYTES
        assert entry is not None, "there is one version at least"
        newest = len(entry.value or b"")
        self._replaced -= newest + _ENTRY_BYTES
        self.size += len(key) + newest
        self.entries[key] = entry

    def write_set(self, transaction_id: bytes, start_timestamp: int) -> WriteSet:
        """Return all of it as one write set; the present snapshot is from `start_timestamp`.

        That of the write set is when the first of it was found; `delays` says when the others were.
        A key that is locked and written stands among the writes only; a catalog version that is checked
        and written stands in both places, since its conflict is another one.
        """
        entries, checks = self.entries, self.checks
        writes = [
            (key, min(entry.mode, checks[key]) if key in checks else entry.mode, entry.value)
            for key, entry in entries.items()
        ]
        locks = [
            (key, mode)
            for key, mode in checks.items()
            if mode == Mode.CATALOG or key not in entries
        ]
        told = tuple(self.notifications) if self.notifications else ()
        if self.found_at:
            start_timestamp = min(start_timestamp, *self.found_at.values())
        return WriteSet(transaction_id, start_timestamp, [*locks], [*writes], told)

    def delays(self, write_set: WriteSet, timestamp: int) -> tuple[Delays, Delays]:
        """Return when checks and writes were found, in microseconds after the write set's start.

        The present snapshot is from `timestamp`.
        """
        start, found_at = write_set.start_timestamp, self.found_at
        return (
            tuple(found_at.get(key, timestamp) - start for key, _ in write_set.checks),
            tuple(found_at.get(key, timestamp) - start for key, _, _ in write_set.writes),
        )


def _size_of(notification: Notification) -> int:
    _, channel, payload = notification
    return _ENTRY_BYTES + len(channel) + len(payload)


def _versions(entry: Entry) -> list[Version]:
    """Return the versions of a key, the newest last."""
    versions: list[Version] = []
    found: Entry | None = entry
    while found is not None:
        versions.append((found.value, found.mode, found.statement))
        found = found.earlier
    return versions[::-1]


def transaction_too_large(size: int, bytes_max: int) -> SqlError:
    """Return the error of a transaction that writes more bytes than it may."""
    limit = bytes_max // _MEGABYTE
    megabytes = -(-size // _MEGABYTE)
    return SqlError(
        "54000",
        f"transaction size limit {limit}mb exceeded",
        detail=f"Current transaction size {megabytes}mb > {limit}mb",
    )


def too_many_rows() -> SqlError:
    """Return the error of a transaction that modifies one row more than it may."""
    return SqlError("54000", "transaction row limit exceeded")


def merge(
    rows: Iterator[Row], own: list[tuple[bytes, bytes | None]], *, reverse: bool
) -> Iterator[Row]:
    """Yield the snapshot's rows and the own writes in order; of equal keys the own one, None deletes."""
    if reverse:
        own = own[::-1]
    position, count = 0, len(own)
    for row in rows:
        key = row[0]
        while position < count:
            own_key, value = own[position]
            if own_key == key or (own_key < key) is reverse:
                break
            position += 1
            if value is not None:
                yield own_key, value
        if position < count and own[position][0] == key:
            value = own[position][1]
            position += 1
            if value is not None:
                yield key, value
        else:
            yield row
    for own_key, value in own[position:]:
        if value is not None:
            yield own_key, value
