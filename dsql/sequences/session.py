"""What one session keeps of sequences: its cached values, and what currval and lastval return.

A block belongs to the session that took it, and moves with it (`record`). Values that it caches are given
up where the sequence was altered, which puts its counter into another keyspace, and by setval.

A transaction that goes on asking takes twice as many each time (`ahead`): a commit for each of the 100,000
rows of an INSERT would be too much. What is left when it ends, never more than it has used, is given back,
so that the next value is the one that PostgreSQL would give, unless others have gone on meanwhile.

A temporary sequence is the session's own: it takes values one by one, and asks nobody.

A sequence that the running transaction has made or altered is nobody else's yet: its values are taken in
that transaction, one by one, and go with it (`undo`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from msgspec.structs import replace

from dsql.access.authorize import check
from dsql.access.privileges import Privilege
from dsql.access.requirements import privilege_on
from dsql.catalog.schema import SequenceOptions, Table
from dsql.catalog.sequences import no_relation, require_sequence
from dsql.encoding.keyspace import is_local_id
from dsql.errors import SqlError
from dsql.sequences import counter
from dsql.sequences.counter import Block, Counter, counter_key, next_block
from dsql.sequences.record import CachedRecord, SequencesRecord
from dsql.sequences.server import SequenceServer, put_through, read, write
from dsql.transaction.interface import Transaction

_AHEAD_MAX = 16_384


class Caller(Protocol):
    """The running statement: see `dsql.session.context.SessionContext`."""

    @property
    def standpoint(self) -> Any:
        """What names and rights mean now; the same object as long as they mean the same."""
        ...

    @property
    def transaction(self) -> Transaction:
        """The running transaction."""
        ...

    @property
    def read_only(self) -> bool:
        """Whether the running transaction is."""
        ...

    def pause(self, seconds: float) -> None:
        """Raise what ends the statement, after so many seconds or at once."""
        ...


class Cached:
    """What is kept of one sequence: values from behind `last` up to `end` are this session's to give.

    `keyspace` is that of the counter they come from, which has not changed in `catalog`. `is_called`:
    currval has a value. `seen_from` is the standpoint from which nextval was last allowed. `cache` is 0,
    unless the block, which begins with `first`, is longer than CACHE: then it is that.
    """

    __slots__ = (
        "cache",
        "catalog",
        "end",
        "first",
        "is_called",
        "keyspace",
        "last",
        "seen_from",
        "step",
    )

    def __init__(self) -> None:
        self.keyspace = 0
        self.last = self.end = 0
        self.step = 1
        self.is_called = False
        self.first = self.cache = 0
        self.catalog: Any = None
        self.seen_from: Any = None

    def give_up(self) -> None:
        """Give no more values of the block away."""
        self.end, self.cache = self.last, 0

    def own_end(self) -> int:
        """Return the last value that stays the session's: where a block of CACHE values would end."""
        if not self.cache:
            return self.end
        blocks = (self.last - self.first) // self.step // self.cache + 1
        own = self.first + self.step * (blocks * self.cache - 1)
        return min(own, self.end) if self.step > 0 else max(own, self.end)

    def begin(self, keyspace: int, block: Block) -> None:
        """Go on with a new block, whose first value is given away at once."""
        self.keyspace = keyspace
        self.last, self.end, self.step = block
        self.is_called = True


class SessionSequences:
    """One per session. `latest` is the OID of the sequence whose value lastval returns, 0 for none."""

    __slots__ = ("_cached", "_server", "ahead", "latest", "made")

    def __init__(self, server: SequenceServer) -> None:
        self._server = server
        self._cached: dict[int, Cached] = {}
        # Those that the running transaction has made or altered, and has taken values from: whether they
        # had any before.
        self.made: dict[int, bool] = {}
        # How many values the running transaction wants of a sequence when it asks for the next ones.
        self.ahead: dict[int, int] = {}
        self.latest = 0

    # ------------------------------------------------------------ functions

    def nextval(self, caller: Caller, oid: int) -> int:
        """Return the next value. Raises SqlError 42501, 25006, 2200H, 42809, 42P01."""
        here = caller.standpoint
        cached = self._cached.get(oid)
        if cached is None or cached.seen_from is not here:
            sequence = require_sequence(here.catalog, oid)
            check(privilege_on(sequence, Privilege.USAGE | Privilege.UPDATE), here.authority)
            cached = self._refreshed(here.catalog, sequence)
            cached.seen_from = here
        if caller.read_only:
            _refuse_read_only(here.catalog.tables_by_oid[oid], "nextval")
        return self._next(caller, oid, cached)

    def next_of_column(self, caller: Caller, oid: int) -> int:
        """Return the next value for an identity column: who may insert needs no right on its sequence."""
        cached = self._cached.get(oid)
        catalog = caller.standpoint.catalog
        if cached is None or cached.catalog is not catalog:
            cached = self._refreshed(catalog, require_sequence(catalog, oid))
        return self._next(caller, oid, cached)

    def _next(self, caller: Caller, oid: int, cached: Cached) -> int:
        if cached.last == cached.end:
            self._begin_block(caller, oid, cached)
        else:
            cached.last += cached.step
            cached.is_called = True
        self.latest = oid
        return cached.last

    def currval(self, caller: Caller, oid: int) -> int:
        """Return the value that this session was given last. Raises SqlError 55000, 42501, 42809, 42P01."""
        sequence = require_sequence(caller.standpoint.catalog, oid)
        _check_readable(caller, sequence)
        cached = self._cached.get(oid)
        if cached is None or not cached.is_called:
            message = f'currval of sequence "{sequence.name}" is not yet defined in this session'
            raise SqlError("55000", message)
        return cached.last

    def lastval(self, caller: Caller) -> int:
        """Return what nextval returned last, of whatever sequence. Raises SqlError 55000, 42501."""
        sequence = self.latest and caller.standpoint.catalog.tables_by_oid.get(self.latest)
        if not sequence:
            raise SqlError("55000", "lastval is not yet defined in this session")
        _check_readable(caller, sequence)
        return self._cached[self.latest].last

    def setval(self, caller: Caller, oid: int, value: int, is_called: bool = True) -> int:
        """Set a counter, and give up what is cached. Raises SqlError 42501, 25006, 22003, 42809, 42P01."""
        sequence = require_sequence(caller.standpoint.catalog, oid)
        check(privilege_on(sequence, Privilege.UPDATE), caller.standpoint.authority)
        if caller.read_only:
            _refuse_read_only(sequence, "setval")
        options = options_of(sequence)
        if not options.minimum <= value <= options.maximum:
            raise counter.out_of_bounds(sequence.name, options, value)
        cached = self._refreshed(caller.standpoint.catalog, sequence)
        wanted = Counter(value, is_called=is_called)
        if caller.transaction.has_written(counter_key(sequence)):
            write(caller.transaction, sequence, wanted)
            self.made.setdefault(oid, cached.is_called)
        elif sequence.is_temporary:
            put_through(caller.transaction, sequence, wanted)
        elif not self._server.set(oid, wanted):
            raise no_relation(oid)
        if is_called:
            cached.last, cached.is_called = value, True
        cached.give_up()
        return value

    def counters(self, caller: Caller, sequences: Sequence[Table]) -> list[Counter | None]:
        """Return the counters of sequences as they are now, or as the running transaction has made them."""
        own = caller.transaction
        with self._server.reading() as current:
            return [
                read(own, sequence)
                if sequence.is_temporary or own.has_written(counter_key(sequence))
                else self._without_ahead(sequence.oid, current(sequence.oid))
                for sequence in sequences
            ]

    def _without_ahead(self, oid: int, counter: Counter | None) -> Counter | None:
        """Return a counter as it will be when the running transaction has given back what it has left."""
        cached = self._cached.get(oid)
        if cached is not None and counter == Counter(cached.end, is_called=True):
            return Counter(cached.own_end(), is_called=True)
        return counter

    # ------------------------------------------------------------ blocks

    def _refreshed(self, catalog: Any, sequence: Table) -> Cached:
        """Return what is kept of a sequence, without values from before it was altered."""
        cached = self._cached.get(sequence.oid)
        if cached is None:
            cached = self._cached[sequence.oid] = Cached()
        if cached.keyspace != sequence.keyspace_id:
            cached.keyspace = sequence.keyspace_id
            cached.give_up()
        cached.catalog = catalog
        return cached

    def _begin_block(self, caller: Caller, oid: int, cached: Cached) -> None:
        sequence = require_sequence(caller.standpoint.catalog, oid)
        transaction = caller.transaction
        if transaction.has_written(counter_key(sequence)):
            block = _next_own(transaction, sequence, write)
            self.made.setdefault(oid, cached.is_called)
            cached.begin(sequence.keyspace_id, block)
            return
        if sequence.is_temporary:
            cached.begin(sequence.keyspace_id, _next_own(transaction, sequence, put_through))
            return
        wanted = self.ahead.get(oid, 0)
        taken = self._server.take(oid, lambda: caller.pause(0), wanted)
        if taken is None:
            raise no_relation(oid)
        sequence, block = taken
        cached.begin(sequence.keyspace_id, block)
        cache = options_of(sequence).cache
        cached.first, cached.cache = block.first, cache if wanted > cache else 0
        self.ahead[oid] = min(max(2 * wanted, 2), _AHEAD_MAX)

    # ------------------------------------------------------------ transactions

    def end(self) -> None:
        """Say that the transaction has ended, however it did: what it took ahead is given back."""
        for oid in self.ahead:
            cached = self._cached.get(oid)
            if cached is not None and (end := cached.own_end()) != cached.end:
                self._server.give_back(oid, cached.end, end)
                cached.end, cached.cache = end, 0
        self.ahead.clear()

    def settle(self) -> None:
        """Say that the transaction was committed: what it made is everybody's."""
        self.made.clear()

    def undo(self) -> None:
        """Say that the transaction was rolled back, and what it made with it."""
        for oid in list(self.made):
            self._forget(oid)

    def rewind(self, transaction: Transaction, catalog: Any) -> None:
        """Say that the transaction has taken its last writes back, of which it now sees this catalog.

        Values that were taken from what it has still made stay given away.
        """
        for oid in list(self.made):
            sequence = catalog.tables_by_oid.get(oid)
            if sequence is not None and transaction.has_written(counter_key(sequence)):
                write(transaction, sequence, Counter(self._cached[oid].last, is_called=True))
            else:
                self._forget(oid)

    def _forget(self, oid: int) -> None:
        """Give up what was made in the transaction: another object may get its OID."""
        if not self.made.pop(oid):
            del self._cached[oid]
            if self.latest == oid:
                self.latest = 0

    def discard(self) -> None:
        """Forget all that was cached (DISCARD SEQUENCES)."""
        self._cached.clear()
        self.made.clear()
        self.ahead.clear()
        self.latest = 0

    # ------------------------------------------------------------ moves

    def record(self) -> SequencesRecord | None:
        """Return all of it for another process, None for nothing."""
        if not self._cached:
            return None
        entries = tuple(
            CachedRecord(
                oid, c.keyspace, c.last, c.end, c.step, c.is_called,
                self.made.get(oid), self.ahead.get(oid, 0), c.first, c.cache,
            )
            for oid, c in self._cached.items()
            if not is_local_id(oid)  # who departs has dropped it
        )  # fmt: skip
        return SequencesRecord(0 if is_local_id(self.latest) else self.latest, entries)

    def take_up(self, record: SequencesRecord) -> None:
        """Go on with what another process has left."""
        self.latest = record.latest
        for entry in record.cached:
            cached = self._cached[entry.oid] = Cached()
            cached.keyspace, cached.is_called = entry.keyspace, entry.is_called
            cached.last, cached.end, cached.step = entry.last, entry.end, entry.step
            cached.first, cached.cache = entry.first, entry.cache
            if entry.made is not None:
                self.made[entry.oid] = entry.made
            if entry.ahead:
                self.ahead[entry.oid] = min(entry.ahead, _AHEAD_MAX)


def _next_own(
    transaction: Transaction,
    sequence: Table,
    write_to: Callable[[Transaction, Table, Counter], None],
) -> Block:
    """Take one value of a sequence that nobody else has: there is nothing to cache."""
    options = options_of(sequence)
    before = read(transaction, sequence)
    assert before is not None, "it was made"
    taken = next_block(before, replace(options, cache=1))
    if taken is None:
        raise counter.exhausted(sequence.name, options)
    block, after = taken
    write_to(transaction, sequence, after)
    return block


def options_of(sequence: Table) -> SequenceOptions:
    """Return the options that every sequence has."""
    assert sequence.sequence is not None, sequence.name
    return sequence.sequence


def _check_readable(caller: Caller, sequence: Table) -> None:
    allowed = privilege_on(sequence, Privilege.SELECT | Privilege.USAGE)
    check(allowed, caller.standpoint.authority)


def _refuse_read_only(sequence: Table, function: str) -> None:
    """Raise SqlError 25006 for all but a temporary sequence."""
    if not sequence.is_temporary:
        raise SqlError("25006", f"cannot execute {function}() in a read-only transaction")
