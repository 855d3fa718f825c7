"""Takes blocks of values from sequences, for all sessions of a process, each in a transaction of its own.

nextval is never rolled back, so its commit is not that of the statement which calls it: a fresh transaction
reads the counter, writes it as it is behind the blocks that were asked for, and checks that nobody alters
the sequence meanwhile. Only what is committed is handed out; what is lost on the way is a gap.

    take --first in line--> serve: read, advance, commit --conflict--> back off, read again
      '--there is one at it--> wait, and be served with all others who wait

Sessions that ask for the same sequence at once are served by one commit. What other processes ask for may
conflict with it; nobody sees that, because nothing else of the transaction could have been read before.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from msgspec.structs import replace

from dsql.catalog.loader import CatalogCache
from dsql.catalog.schema import Table
from dsql.encoding.keyspace import table_version_key
from dsql.errors import SqlError
from dsql.hub.waiter import Activity, Waiter
from dsql.sequences import counter
from dsql.sequences.counter import Block, Counter, counter_key, next_block
from dsql.transaction.interface import Mode, Transaction
from dsql.transaction.own_changes import commit_change

Result = TypeVar("Result")

_LOOK_SECONDS = 0.05  # between two looks at what may end a statement that waits


class _Request:
    """One session's wish for a block; `done` once it has that, or an error."""

    __slots__ = ("activity", "block", "done", "error", "sequence", "wanted")

    def __init__(self, activity: Activity | None, wanted: int) -> None:
        self.activity = activity
        self.wanted = wanted
        self.done = False
        self.sequence: Table | None = None
        self.block: Block | None = None
        self.error: SqlError | None = None

    def outcome(self) -> tuple[Table, Block] | None:
        """Return what `SequenceServer.take` does."""
        if self.error is not None:
            raise self.error.with_traceback(None)
        if self.sequence is None:
            return None
        if self.block is None:
            assert self.sequence.sequence is not None
            raise counter.exhausted(self.sequence.name, self.sequence.sequence)
        return self.sequence, self.block


class SequenceServer:
    """One per process. `begin` returns a transaction without any write or timestamp."""

    def __init__(
        self, begin: Callable[[], Transaction], catalogs: CatalogCache, waiter: Waiter
    ) -> None:
        self._begin = begin
        self._catalogs = catalogs
        self._waiter = waiter
        self._lines: dict[int, deque[_Request]] = {}

    def take(
        self, oid: int, attend: Callable[[], None], wanted: int = 0
    ) -> tuple[Table, Block] | None:
        """Return a sequence as it is now, and a block of its values; None if it is nobody's yet, or gone.

        The block has CACHE values, or as many as are `wanted` if these are more; less before a bound.
        `attend` is called while others are served first, and may raise. Raises SqlError 2200H if there
        are no more values, 40001 if one attempt after the other has met another commit, and what a commit
        raises.
        """
        line = self._lines.setdefault(oid, deque())
        request = _Request(self._waiter.current, wanted)
        line.append(request)
        try:
            while not request.done:
                if line[0] is request:
                    self._serve(oid, list(line))
                else:
                    self._waiter.wait(self._waiter.monotonic() + _LOOK_SECONDS)
                    attend()
        finally:
            self._leave(oid, line, request)
        return request.outcome()

    def _leave(self, oid: int, line: deque[_Request], request: _Request) -> None:
        line.remove(request)
        if line:
            self._waiter.wake(line[0].activity)
        elif self._lines.get(oid) is line:
            del self._lines[oid]

    def _serve(self, oid: int, requests: list[_Request]) -> None:
        """Give each of the requests its block, or all of them the same error."""
        error = None
        try:
            self._change(lambda transaction: self._advance(transaction, oid, requests))
        except SqlError as raised:
            error = raised
        for request in requests:
            request.error, request.done = error, True
            self._waiter.wake(request.activity)

    def _advance(self, transaction: Transaction, oid: int, requests: list[_Request]) -> None:
        sequence = self._sequence(transaction, oid)
        found = None if sequence is None else read(transaction, sequence)
        for request in requests:
            request.sequence = None if found is None else sequence
            request.block = None
        if sequence is None or found is None:
            return
        of = sequence.sequence
        assert of is not None
        before = found
        for request in requests:
            taken = next_block(found, replace(of, cache=max(of.cache, request.wanted)))
            if taken is None:
                break
            request.block, found = taken
        if found is not before:
            write(transaction, sequence, found)

    def set(self, oid: int, value: Counter) -> bool:
        """Set a counter; False if there is none, as `take` has it. Raises what `take` does."""

        def put(transaction: Transaction) -> bool:
            sequence = self._sequence(transaction, oid)
            if sequence is None or read(transaction, sequence) is None:
                return False
            write(transaction, sequence, value)
            return True

        return self._change(put)

    def give_back(self, sequence_oid: int, end: int, last: int) -> None:
        """Take back what was handed out behind `last`, if nobody has gone on from its `end`."""
        transaction = self._begin()
        try:
            sequence = self._sequence(transaction, sequence_oid)
            if sequence is not None and read(transaction, sequence) == Counter(end, is_called=True):
                write(transaction, sequence, Counter(last, is_called=True))
                transaction.commit()
        except SqlError:
            pass  # the values are a gap
        finally:
            transaction.rollback()

    @contextmanager
    def reading(self) -> Iterator[Callable[[int], Counter | None]]:
        """Give a function that returns counters as they are now, by OID; None if there is none."""
        transaction = self._begin()

        def current(oid: int) -> Counter | None:
            sequence = self._sequence(transaction, oid)
            return None if sequence is None else read(transaction, sequence)

        try:
            yield current
        finally:
            transaction.rollback()

    def _sequence(self, transaction: Transaction, oid: int) -> Table | None:
        found = self._catalogs.current(transaction).tables_by_oid.get(oid)
        return found if found is not None and found.kind == "S" else None

    def _change(self, change: Callable[[Transaction], Result]) -> Result:
        """Commit a change; if its outcome is unknown and it was a commit, its values are a gap."""
        return commit_change(self._begin, change, self._waiter)


def read(transaction: Transaction, sequence: Table) -> Counter | None:
    """Return a sequence's counter as a transaction sees it."""
    value = transaction.get(counter_key(sequence))
    return None if value is None else counter.decode(value)


def write(transaction: Transaction, sequence: Table, value: Counter) -> None:
    """Write a counter, unless somebody alters or drops the sequence before the commit."""
    transaction.check(table_version_key(sequence.oid), Mode.CATALOG)
    transaction.put(counter_key(sequence), counter.encode(value), Mode.EXCLUSIVE)


def put_through(transaction: Transaction, sequence: Table, value: Counter) -> None:
    """Write the counter of a temporary sequence, whatever becomes of the transaction."""
    transaction.put_through(counter_key(sequence), counter.encode(value))
