"""One transaction: a start timestamp, the snapshot at it, the own writes over it, and the way to commit.

A session runs one transaction at a time, and uses its object again: once it has ended it is as new. It has
no start timestamp until its first read or write. Its age counts from then on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from dsql.errors import (
    ConflictError,
    DataConflictError,
    FatalError,
    LostWrite,
    SqlError,
)
from dsql.limits import (
    LOCAL_BYTES_MAX,
    ROWS_PER_TRANSACTION_MAX,
    TRANSACTION_AGE_SECONDS_MAX,
    TRANSACTION_BYTES_MAX,
)
from dsql.transaction.commit import Committer, commit_write_set
from dsql.transaction.interface import (
    LocalHalf,
    LocalWrite,
    Mode,
    Notification,
    Premises,
    Snapshot,
    WriteSet,
)
from dsql.transaction.joined_snapshot import JoinedSnapshot
from dsql.transaction.read_set import ReadSet, TracedSnapshot
from dsql.transaction.record import TransactionRecord
from dsql.transaction.usage import READ_BYTES_MIN, Usage
from dsql.transaction.write_buffer import WriteBuffer, merge

Row = tuple[bytes, bytes]

_NOT_STARTED = -1.0
# To look anew is to look all own writes up. With many of them that is done seldom enough to cost a part of
# the time only: so many may be looked up each time, and for each of more it takes so much time in between.
_LOOKED_UP_MAX = 64
_SECONDS_PER_KEY = 20e-6


class Replica(Protocol):
    """Where a transaction reads: `storage.client.LocalReplica` or the like."""

    def snapshot(self, timestamp: int, reader: object) -> Snapshot:
        """Return the snapshot at `timestamp`, once the replica has reached it."""
        ...

    def release(self, reader: object) -> None:
        """Say that the snapshot of `reader`, if it has one, is not read any more."""
        ...


class StartClock(Protocol):
    """Where start timestamps come from: `dsql.rpc.clock.PublishedClock`."""

    def latest(self) -> int:
        """Return a timestamp that no acknowledged commit is above."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """What a transaction may do. `rows_max` None: any number of rows (profile postgres)."""

    rows_max: int | None = ROWS_PER_TRANSACTION_MAX
    bytes_max: int = TRANSACTION_BYTES_MAX
    age_seconds_max: float = TRANSACTION_AGE_SECONDS_MAX


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every transaction of a process shares. `monotonic` returns seconds, `new_id` 16 bytes."""

    replica: Replica
    committer: Committer
    clock: StartClock
    limits: Limits
    monotonic: Callable[[], float]
    new_id: Callable[[], bytes]
    usage: Usage


class BufferedTransaction:
    """A `dsql.transaction.interface.Transaction`.

    `commit` and `rollback` end it; reading or writing again starts the next one.
    """

    __slots__ = (
        "_buffer",
        "_local",
        "_look_again_at",
        "_reads",
        "_shared",
        "_snapshot",
        "_started_at",
        "commit_timestamp",
    )

    def __init__(self, shared: Surroundings) -> None:
        self._shared = shared
        self._buffer = WriteBuffer(shared.limits.rows_max, shared.limits.bytes_max)
        self._local: LocalHalf | None = None
        self._snapshot: Snapshot | None = None
        self._reads: ReadSet | None = None  # of a serializable one
        self._look_again_at = 0.0
        self._started_at = _NOT_STARTED
        self.commit_timestamp = 0  # of the last successful commit with writes

    @property
    def start_timestamp(self) -> int:
        """The snapshot's timestamp; asking for it takes it."""
        snapshot = self._snapshot
        return (self._start() if snapshot is None else snapshot).timestamp

    @property
    def snapshot(self) -> Snapshot:
        """The transaction's snapshot, without its own writes."""
        snapshot = self._snapshot
        return self._start() if snapshot is None else snapshot

    def _start(self) -> Snapshot:
        shared = self._shared
        self._started_at = shared.monotonic()  # first, so that `rollback` releases in any case
        return self._enter(shared.clock.latest())

    def _enter(self, timestamp: int) -> Snapshot:
        """Read at a timestamp from now on, once the replica has reached it."""
        snapshot = self._shared.replica.snapshot(timestamp, self)
        if self._reads is not None:
            snapshot = TracedSnapshot(snapshot, self._reads)
        if self._local is not None:
            snapshot = JoinedSnapshot(snapshot, self._local)
        self._snapshot = snapshot
        return snapshot

    def trace_reads(self) -> None:
        """Have the commit fail if anything that is read from now on is not so any more by then."""
        if self._reads is None:
            self._reads = ReadSet()
            if self._snapshot is not None:
                self._snapshot = TracedSnapshot(self._snapshot, self._reads)

    def forget_reads(self) -> None:
        """Let the commit depend on what is written only."""
        self._reads = None

    def join(self, local: LocalHalf | None) -> None:
        """Read and write local keys in `local` from now on; None: there are none any more."""
        assert self._local is None or local is None, "a session has one store"
        assert local is not None or self._snapshot is None, "what a transaction reads stays"
        self._local = local
        self._buffer.bytes_max = self._shared.limits.bytes_max
        if local is not None:
            self._buffer.bytes_max += LOCAL_BYTES_MAX
            if self._snapshot is not None:
                self._snapshot = JoinedSnapshot(self._snapshot, local)

    def begin_statement(self) -> int:
        """Say that a statement begins; return its number, for `rewind`.

        From here on scans leave out what this statement writes. Raises SqlError 54000 if the
        transaction is too old.
        """
        if self._snapshot is not None:
            self.check_age()
        return self._buffer.begin_statement()

    def begin_inner(self) -> int:
        """See `dsql.transaction.interface.Transaction`."""
        self.check_age()
        return self._buffer.begin_inner()

    def end_inner(self, outer: int) -> None:
        """See `dsql.transaction.interface.Transaction`."""
        self._buffer.end_inner(outer)

    @property
    def statements(self) -> int:
        """How many statements have begun, without those inside of others."""
        return self._buffer.last_statement - self._buffer.inner_statements

    @property
    def statement(self) -> int:
        """The number of the last statement, as `begin_statement` has returned it."""
        return self._buffer.last_statement

    def look_anew(self) -> None:
        """Read at a new snapshot from now on, if nothing was read that matters. Nothing may be written."""
        assert not self._buffer.entries, "what was written depends on what was read"
        if self._snapshot is not None and not self._reads:
            self._shared.replica.release(self)
            self._start()

    def import_snapshot(self, timestamp: int) -> None:
        """Read at the snapshot of another transaction, which keeps it. Nothing may have been done."""
        assert not self.has_writes, "it has written something"
        if self._snapshot is None:
            self._started_at = self._shared.monotonic()
        self._enter(timestamp)

    def look_again(self) -> bool:
        """Read what is committed by now from now on, on top of which the own writes go on to stand.

        Return False if one of them was overtaken: then the snapshot stays, and the commit will fail.
        """
        snapshot = self._snapshot
        if snapshot is None:
            return True
        timestamp = self._shared.clock.latest()
        if timestamp <= snapshot.timestamp:
            return True
        buffer = self._buffer
        if buffer.entries or buffer.checks:
            if not self._may_look_up():
                return True
            if self._is_overtaken(timestamp, snapshot.timestamp):
                return False
            buffer.note_found(snapshot.timestamp)
        self._shared.usage.bytes_read += snapshot.bytes_read
        snapshot.bytes_read = 0
        self._enter(timestamp)
        return True

    def _may_look_up(self) -> bool:
        """Return whether to look all own keys up takes little of the transaction's time."""
        count = len(self._buffer.entries) + len(self._buffer.checks)
        if count <= _LOOKED_UP_MAX:
            return True
        now = self._shared.monotonic()
        if now < self._look_again_at:
            return False
        self._look_again_at = now + count * _SECONDS_PER_KEY
        return True

    def _is_overtaken(self, timestamp: int, since: int) -> bool:
        """Return whether own writes or locks were written by somebody else in between."""
        buffer, replica = self._buffer, self._shared.replica
        keys = buffer.exclusive_keys() + buffer.locked_keys()
        # For itself the transaction shows the older snapshot as long as it counts.
        try:
            return replica.snapshot(timestamp, buffer).is_outdated(keys, since)
        finally:
            replica.release(buffer)

    def check_age(self) -> None:
        """Raise SqlError 54000 if the transaction has exceeded its age limit."""
        limit = self._shared.limits.age_seconds_max
        if self._snapshot is None:
            return
        age = self._shared.monotonic() - self._started_at
        if age > limit:
            self._shared.usage.timeouts += 1
            raise SqlError(
                "54000",
                f"transaction age limit of {limit:g}s exceeded",
                detail=f"Current transaction age {int(age)}s exceeds {limit:g}s",
            )

    def get(self, key: bytes) -> bytes | None:
        """Return the value of `key`: the own write if there is one, else the snapshot's."""
        entries = self._buffer.entries
        if entries:
            own = entries.get(key)
            if own is not None:
                return own.value
        snapshot = self._snapshot
        if snapshot is None:
            snapshot = self._start()
        return snapshot.get(key)

    def read(self, key: bytes) -> bytes | None:
        """Return the value of `key` without the running statement's own writes."""
        buffer = self._buffer
        if buffer.entries:
            latest = buffer.entries.get(key)
            own = None if latest is None else buffer.before_statement(latest)
            if own is not None:
                return own.value
        snapshot = self._snapshot
        if snapshot is None:
            snapshot = self._start()
        return snapshot.get(key)

    def scan(self, low: bytes, high: bytes, *, reverse: bool = False) -> Iterator[Row]:
        """Yield (key, value) with low <= key < high, own writes merged in.

        Sees the writes made before the call, but for those of the running statement.
        """
        rows = self.snapshot.scan(low, high, reverse=reverse)
        if not self._buffer.entries:
            return rows
        own = self._buffer.overlay(low, high)
        return merge(rows, own, reverse=reverse) if own else rows

    def put(self, key: bytes, value: bytes, mode: Mode, *, row: bool = False) -> None:
        """Buffer a write. Raises SqlError 54000 (key, row, rows, age)."""
        self._write(key, value, mode, row)

    def may_have(self, keys: Iterable[bytes]) -> bool:
        """Return whether one of `keys` may have a value, as `get` sees it. True proves nothing."""
        return not self._buffer.entries.keys().isdisjoint(keys) or self.snapshot.may_have(keys)

    def has_written(self, key: bytes) -> bool:
        """Return whether the transaction itself has written `key`."""
        return key in self._buffer.entries

    def put_through(self, key: bytes, value: bytes) -> None:
        """Write a local key at once, whatever becomes of the transaction."""
        assert self._local is not None, "only what is local can be written so"
        self._local.apply([(key, value)])

    @property
    def room(self) -> int:
        """How many more rows the transaction may modify."""
        return self._buffer.room

    def put_rows(self, rows: dict[bytes, bytes]) -> None:
        """Buffer new rows: all, or none. Raises SqlError 54000 (age, bytes)."""
        if self._snapshot is None:
            self._start()
        self.check_age()
        self._buffer.write_rows(rows)

    def delete(self, key: bytes, mode: Mode, *, row: bool = False) -> None:
        """Buffer a deletion. Raises SqlError 54000 (rows, age)."""
        self._write(key, None, mode, row)

    def _write(self, key: bytes, value: bytes | None, mode: Mode, row: bool) -> None:
        if self._snapshot is None:
            self._start()
        if row:
            self.check_age()
        self._buffer.write(key, value, mode, row)

    def check(self, key: bytes, mode: Mode) -> None:
        """Lock or verify `key` at commit without writing it."""
        if self._snapshot is None:
            self._start()
        self._buffer.check(key, mode)

    def check_since(self, key: bytes, mode: Mode, timestamp: int) -> None:
        """Verify `key` as it was found at an earlier snapshot of the transaction's."""
        self.check(key, mode)
        found_at = self._buffer.found_at
        found_at[key] = min(timestamp, found_at.get(key, timestamp))

    def notify(self, notification: Notification) -> None:
        """Have sessions that listen hear of the commit. Raises SqlError 54000 (bytes)."""
        self._buffer.notify(notification)

    @property
    def notifications(self) -> Iterable[Notification]:
        """What they will hear."""
        return self._buffer.notifications

    @property
    def size(self) -> int:
        """Bytes of keys and values written so far, about what the commit will carry."""
        return self._buffer.size

    @property
    def has_writes(self) -> bool:
        """True if `commit` has to ask the adjudicator (writes, locks, or notifications)."""
        buffer = self._buffer
        return (
            bool(buffer.entries)
            or bool(buffer.notifications)
            or (bool(buffer.checks) and buffer.has_locks)
        )

    def record(self) -> TransactionRecord:
        """Return what another process needs. The snapshot is shown on, until `leave` or `rollback` here."""
        snapshot, buffer = self._snapshot, self._buffer.record()
        reads = None if self._reads is None else self._reads.record()
        if snapshot is None:
            return TransactionRecord(buffer=buffer, reads=reads)
        return TransactionRecord(snapshot.timestamp, self._started_at, buffer, reads)

    def leave(self) -> None:
        """Let go of a transaction that goes on in another process, by its `record`: it is counted there."""
        if self._snapshot is not None:
            self._shared.usage.bytes_read += self._snapshot.bytes_read
            self._snapshot.bytes_read = 0
            self._snapshot = None
        self.rollback()

    def take_up(self, record: TransactionRecord) -> None:
        """Go on with a transaction of another process; this one is as new.

        Raises ValueError for what is none, SqlError 58000 if no replica reaches its snapshot in time.
        """
        assert self._snapshot is None, "a transaction is taken up before anything else"
        assert self._local is None, "who has temporary tables does not move"
        self._buffer.take_up(record.buffer)
        if record.reads is not None:
            self._reads = ReadSet()
            self._reads.take_up(record.reads)
        if record.start_timestamp:
            self._started_at = record.started_at  # first, so that `rollback` releases in any case
            self._enter(record.start_timestamp)

    def is_outdated(self) -> bool:
        """Return whether a commit is known to fail while a new transaction may see more.

        A replica may show a commit before it is published. To begin anew would then lead to the same
        snapshot; only the adjudicator knows when it is worth the while.
        """
        snapshot = self._snapshot
        return (
            snapshot is not None
            and self._shared.clock.latest() > snapshot.timestamp
            and snapshot.is_outdated(self._buffer.exclusive_keys(), snapshot.timestamp)
        )

    def rewind(self, statement: int) -> None:
        """Take back the writes made since `begin_statement` returned this number."""
        self._buffer.rewind(statement)

    def forget(self, prefixes: tuple[bytes, ...]) -> None:
        """Take back every write below one of these prefixes."""
        self._buffer.forget(prefixes)

    def commit(self) -> None:
        """Commit, and return when the outcome is certain; the transaction is over in any case.

        Raises SqlError 40001 (OC000, OC001), 54000 (size, age), 08007 (outcome unknown); with local writes
        53400, 53100 and 58030 before anything is committed.
        """
        try:
            if self.has_writes:
                self.check_age()
                if self._local is None:
                    self._commit_shared()
                else:
                    self._commit_both(self._local, self._buffer.take_local())
        finally:
            self.rollback()

    def _commit_shared(self) -> None:
        shared = self._shared
        size, rows = self._buffer.size, len(self._buffer.entries)
        write_set = self._buffer.write_set(shared.new_id(), self.start_timestamp)
        premises = self._premises(write_set) if self._reads or self._buffer.found_at else None
        began = shared.monotonic()
        try:
            self.commit_timestamp = commit_write_set(
                shared.committer, write_set, premises, shared.limits.bytes_max, shared.new_id
            )
        except ConflictError as error:
            shared.usage.conflicts += 1
            if isinstance(error, DataConflictError):
                error.lost = self._find_lost(error.lost.met)
            raise
        shared.usage.committed(size, rows, shared.monotonic() - began)

    def _find_lost(self, met: int) -> LostWrite:
        """Return which own write was met, if the replica shows that, or if there is but one."""
        try:
            return self._look_for_lost(met)
        except SqlError:  # the replica has gone, say: it is the conflict that has to be told
            return LostWrite(met=met)

    def _look_for_lost(self, met: int) -> LostWrite:
        snapshot, buffer = self.snapshot, self._buffer
        keys = buffer.exclusive_keys()
        outdated = (
            key
            for key in islice(keys, _LOOKED_UP_MAX)
            if snapshot.is_outdated((key,), buffer.found_at.get(key, snapshot.timestamp))
        )
        key = next(outdated, keys[0] if len(keys) == 1 and not self._rests_on_more() else None)
        if key is None:
            return LostWrite(met=met)
        entry = buffer.entries[key]
        value = snapshot.get(key) if entry.value is None else entry.value
        return LostWrite(key, value, entry.statement, met)

    def _rests_on_more(self) -> bool:
        """Return whether something else than a written key can have been met."""
        checked = any(mode is not Mode.CATALOG for mode in self._buffer.checks.values())
        return checked or self._reads is not None

    def _premises(self, write_set: WriteSet) -> Premises:
        """Return what a commit rests on beside its write set."""
        premises = Premises()
        if self._buffer.found_at:
            premises.check_delays, premises.write_delays = self._buffer.delays(
                write_set, self.start_timestamp
            )
        if self._reads is None:
            return premises
        # Who writes a key meets all who have written it.
        premises.keys = self._reads.keys(without=self._buffer.exclusive_keys())
        premises.ranges = self._reads.ranges()
        return premises

    def _commit_both(self, local: LocalHalf, writes: list[LocalWrite]) -> None:
        """Commit what is the cluster's, if anything is, and then what is the session's own."""
        if writes:
            local.reserve(writes)
        committed = self.has_writes
        if committed:
            self._commit_shared()
        try:
            if writes:
                local.apply(writes)
        except SqlError as error:
            if not committed:
                raise
            detail = (
                "The transaction is committed; the session's temporary tables are lost with it."
            )
            raise FatalError(error.sqlstate, error.message, detail=detail) from error

    def rollback(self) -> None:
        """Forget every buffered write, and the snapshot."""
        if self._started_at != _NOT_STARTED:
            shared, snapshot = self._shared, self._snapshot
            if snapshot is not None:  # counted here, where a call would cost as much
                usage, bytes_read = shared.usage, snapshot.bytes_read
                snapshot.bytes_read = 0
                usage.transactions += 1
                usage.bytes_read += bytes_read
                if bytes_read > READ_BYTES_MIN:
                    usage.read_surplus += bytes_read - READ_BYTES_MIN
            self._snapshot = None
            shared.replica.release(self)
            self._started_at = _NOT_STARTED
        self._reads = None
        buffer = self._buffer
        if buffer.entries or buffer.checks or buffer.statement or buffer.notifications:
            buffer.clear()
