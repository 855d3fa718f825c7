"""The seams between SQL and the distributed store: snapshot, transaction, write set, outcome.

Keys and values are opaque bytes here; `dsql.encoding` makes them. A timestamp is an int: microseconds
since 1970-01-01 UTC, made unique per commit by the adjudicator.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from typing import Protocol

import msgspec


class Mode(enum.IntEnum):
    """How an entry of a write set takes part in the conflict check (DSQL's conflict matrix).

    EXCLUSIVE meets EXCLUSIVE, NON_KEY and SHARE; NON_KEY meets EXCLUSIVE and NON_KEY; SHARE meets
    EXCLUSIVE. BLIND entries (those of non-unique secondary indexes) meet nothing: the primary key's
    entry already conflicts. CATALOG is a check only: it meets an EXCLUSIVE commit of the same key after
    the start timestamp, is not remembered itself, and its conflict is OC001 instead of OC000.
    """

    EXCLUSIVE = 0  # INSERT, DELETE, UPDATE of key columns, FOR UPDATE
    NON_KEY = 1  # UPDATE that leaves every unique key alone
    SHARE = 2  # FOR KEY SHARE, and the parent row of a foreign key
    BLIND = 3
    CATALOG = 4


class Snapshot(Protocol):
    """Reads at one timestamp. Never blocks on writers; waits until the replica has reached it.

    `bytes_read` counts the keys and values of scans, and the values that were got. Transactions may share a
    snapshot, so whoever takes the count sets it to 0.
    """

    timestamp: int

    @property
    def bytes_read(self) -> int:
        """Since it was taken."""
        ...

    @bytes_read.setter
    def bytes_read(self, count: int) -> None: ...

    def get(self, key: bytes) -> bytes | None:
        """Return the value of `key` at the timestamp, None if there is none."""
        ...

    def scan(
        self, low: bytes, high: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield (key, value) with low <= key < high, in key order or reversed."""
        ...

    def is_outdated(self, keys: Iterable[bytes], since: int) -> bool:
        """Return whether one of `keys` is known to have a version from behind `since`.

        False proves nothing about versions that are newer than the snapshot, nor about long keys.
        """
        ...

    def may_have(self, keys: Iterable[bytes]) -> bool:
        """Return whether one of `keys` may have a value. True proves nothing."""
        ...


LocalWrite = tuple[
    bytes, bytes | None
]  # value None deletes the key; of a prefix alone, its keyspace


class LocalHalf(Protocol):
    """What one session has beside the cluster's data (`dsql.encoding.keyspace.is_local`). Never waits."""

    def get(self, key: bytes) -> bytes | None:
        """Return the value of `key`, None if there is none."""
        ...

    def scan(
        self, low: bytes, high: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield (key, value) with low <= key < high, in key order or reversed."""
        ...

    def may_have(self, keys: Iterable[bytes]) -> bool:
        """Return whether one of `keys` may have a value."""
        ...

    def reserve(self, writes: list[LocalWrite]) -> None:
        """See to it that `apply` will have room. Raises SqlError."""
        ...

    def apply(self, writes: list[LocalWrite]) -> None:
        """Take what a transaction has written: all, or nothing with SqlError."""
        ...


Notification = tuple[int, str, str]  # the sender's process id, a channel, a payload


class WriteSet(msgspec.Struct, array_like=True):
    """All that a transaction asks to commit. Encoded once, by the query processor.

    `transaction_id`: 16 random bytes. `checks`: (key, mode) of locks and catalog versions, nothing is
    written for them. `writes`: (key, mode, value), value None deletes the key. Each key stands once.
    `notifications`: what sessions that listen hear once it is committed, in this order.
    """

    transaction_id: bytes
    start_timestamp: int
    checks: list[tuple[bytes, int]]
    writes: list[tuple[bytes, int, bytes | None]]
    notifications: tuple[Notification, ...] = ()


class Premises(msgspec.Struct, array_like=True):
    """What else a transaction rests on than that nobody has overwritten it since its start timestamp.

    It goes to the adjudicator beside the write set, and not into the journal. `check_delays` and
    `write_delays`: each of the write set's checks and writes was found as it is so many microseconds after
    the start timestamp; none at all: right then. `keys` and `ranges` (low <= key < high) were read as they
    are at the start timestamp, and must be so still at the commit.
    """

    check_delays: tuple[int, ...] = ()
    write_delays: tuple[int, ...] = ()
    keys: tuple[bytes, ...] = ()
    ranges: tuple[tuple[bytes, bytes], ...] = ()


class Committed(msgspec.Struct, frozen=True, tag="committed", array_like=True):
    """The transaction is durable, and visible to every snapshot at or above its timestamp."""

    timestamp: int


class Conflict(msgspec.Struct, frozen=True, tag="conflict", array_like=True):
    """The transaction is not in the journal and never will be; it may be tried again."""

    schema: bool  # True: OC001, an outdated catalog; False: OC000
    met: int = 0  # the timestamp of the commit that was first; 0: not known


class Unknown(msgspec.Struct, frozen=True, tag="unknown", array_like=True):
    """The transaction may be in the journal; ask for its id before anything else."""


class Refused(msgspec.Struct, frozen=True, tag="refused", array_like=True):
    """Nothing was committed, and a repetition is not helped by new luck but by new conditions."""

    disk_full: bool  # True: the journals' disks are; False: the write set is malformed


class Buried(msgspec.Struct, frozen=True, tag="buried", array_like=True):
    """The transaction was lost on its way: under this id it is not in the journal and never will be.

    Nobody has decided on it. Under another id it may be sent again.
    """


class Unavailable(msgspec.Struct, frozen=True, tag="unavailable", array_like=True):
    """Nothing was committed: there is nobody who could, for want of zones. It may be tried again."""


class Behind(msgspec.Struct, frozen=True, tag="behind", array_like=True):
    """Nothing was committed: storage has not kept up with the journal for as long as a commit waits."""


CommitOutcome = Committed | Conflict | Buried | Unknown | Refused | Unavailable | Behind


class Transaction(Protocol):
    """A snapshot plus the transaction's own writes.

    Reads see the own writes. Writes are buffered; the limits (rows, bytes, age) are enforced as they
    are made, conflicts at `commit`. The start timestamp is taken by the first read or write.
    """

    @property
    def start_timestamp(self) -> int:
        """The snapshot's timestamp; asking for it takes it."""
        ...

    def begin_statement(self) -> int:
        """Say that a statement begins; return its number, for `rewind`.

        The session calls it before each statement. Raises SqlError 54000 if the transaction is too old.
        """
        ...

    def begin_inner(self) -> int:
        """Say that a function of the running statement begins one of its own, which sees what was written.

        Return the number of the statement around it, for `end_inner`.
        """
        ...

    def end_inner(self, outer: int) -> None:
        """Go on with the statement around it, which does not see what the inner one has written."""
        ...

    @property
    def statements(self) -> int:
        """How many statements have begun, without those inside of others."""
        ...

    def rewind(self, statement: int) -> None:
        """Take back the writes made since `begin_statement` returned this number (savepoints)."""
        ...

    def get(self, key: bytes) -> bytes | None:
        """Return the value of `key`: the own write if there is one, else the snapshot's.

        For what a write depends on: is the key taken? Rows that a statement reads come from `read`.
        """
        ...

    def read(self, key: bytes) -> bytes | None:
        """Return the value of `key` as `scan` sees it: without the running statement's own writes."""
        ...

    def scan(
        self, low: bytes, high: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield (key, value) with low <= key < high, own writes merged in.

        What the running statement writes does not appear in it.
        """
        ...

    def put(self, key: bytes, value: bytes, mode: Mode, *, row: bool = False) -> None:
        """Buffer a write. `row` counts it as a modified row (index entries are not counted).

        A key written before in the transaction keeps the stricter of the two modes.
        """
        ...

    def may_have(self, keys: Iterable[bytes]) -> bool:
        """Return whether one of `keys` may have a value, as `get` sees it. True proves nothing."""
        ...

    def has_written(self, key: bytes) -> bool:
        """Return whether the transaction itself has written `key`."""
        ...

    def put_through(self, key: bytes, value: bytes) -> None:
        """Write a local key at once, whatever becomes of the transaction. Raises SqlError 53100, 58030."""
        ...

    @property
    def room(self) -> int:
        """How many more rows the transaction may modify."""
        ...

    def put_rows(self, rows: dict[bytes, bytes]) -> None:
        """Buffer new rows, EXCLUSIVE. The caller has seen to `room`, to sizes and to duplicates."""
        ...

    def delete(self, key: bytes, mode: Mode, *, row: bool = False) -> None:
        """Buffer a deletion."""
        ...

    def check(self, key: bytes, mode: Mode) -> None:
        """Lock or verify `key` at commit without writing it."""
        ...

    def notify(self, notification: Notification) -> None:
        """Have sessions that listen to a channel hear of the commit; what was said before is said once.

        Raises SqlError 54000 if the transaction becomes too large.
        """
        ...

    @property
    def notifications(self) -> Iterable[Notification]:
        """What has been said so by `notify`, and was not taken back."""
        ...

    @property
    def size(self) -> int:
        """Bytes of keys and values that are written, about what the commit will carry."""
        ...

    @property
    def has_writes(self) -> bool:
        """True if `commit` has to ask the adjudicator (writes, locks, or notifications)."""
        ...

    def is_outdated(self) -> bool:
        """Return whether a commit is known to fail while a new transaction may see more.

        False proves nothing.
        """
        ...

    def commit(self) -> None:
        """Commit, and return when the outcome is certain.

        Raises SqlError 40001 (OC000, OC001), 54000 (size), 08007 (outcome unknown).
        """
        ...

    def rollback(self) -> None:
        """Forget every buffered write."""
        ...

    def leave(self) -> None:
        """Do so because the transaction goes on in another process."""
        ...
