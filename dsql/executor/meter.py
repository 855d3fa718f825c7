"""What running a plan has cost, node by node, for EXPLAIN ANALYZE.

The code of a plan is one nest of loops, so no call tells which node it is in. A `MeteringGenerator`
writes that in: `enter` and `leave` around a node, `give` where it hands a row on, `take` where it goes on
after it.
Such code is made for one execution and is not kept: other statements pay nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from dsql.encoding.keyspace import PREFIX_BYTES
from dsql.executor.generator import Generator, Produce
from dsql.executor.program import ExecutionContext, Measurement
from dsql.executor.source import Consume, Env
from dsql.planner import plan as p
from dsql.planner.explain import Actual
from dsql.transaction.interface import Mode, Transaction

NOBODY = 0  # who reads the statement's rows
_NOTHING = Actual(0.0, 0.0, 0, 0, 0)


class Meter:
    """Counts by the nodes' numbers, and who is running since when. `clock`: seconds."""

    def __init__(self, parents: list[int], clock: Callable[[], float]) -> None:
        count = len(parents)
        self._parents = parents
        self._clock = clock
        self._running = NOBODY
        self._since = clock()
        self._own = [0.0] * count
        self._startup = [0.0] * count
        self._rows = [0] * count
        self._loops = [0] * count
        self._scanned = [0] * count

    def enter(self, number: int) -> None:
        """A node begins."""
        self.take(number)
        self._loops[number] += 1

    def take(self, number: int) -> None:
        """A node goes on after a row that it has given."""
        now = self._clock()
        self._own[self._running] += now - self._since
        self._since, self._running = now, number

    def leave(self, number: int) -> None:
        """A node has ended; its reader goes on."""
        self.take(self._parents[number])

    def give(self, number: int) -> None:
        """A node hands a row to its reader."""
        self.take(self._parents[number])
        if not self._rows[number]:
            self._startup[number] = self._spent(number)
        self._rows[number] += 1

    def scan(self, number: int) -> None:
        """A scan has read a row that its filter may leave out."""
        self._scanned[number] += 1

    def actual(self, number: int) -> Actual:
        """Return what a node has done."""
        total, rows = self._spent(number), self._rows[number]
        startup = self._startup[number] if rows else total
        return Actual(startup, total, rows, self._loops[number], self._scanned[number])

    def _spent(self, number: int) -> float:
        """Return the seconds of a node and of all below it. Parents have smaller numbers."""
        below = {number}
        for other in range(number + 1, len(self._parents)):
            if self._parents[other] in below:
                below.add(other)
        return sum(self._own[each] for each in below)


class MeteringGenerator(Generator):
    """Writes a program that tells `context.meter` what it does. `numbers` and `parents` grow with it."""

    ends_functions = False  # who ended that way would not tell of it

    def __init__(self, nodes: dict[type, Produce], shared_tables: frozenset[int]) -> None:
        super().__init__(nodes, shared_tables=shared_tables)
        self.numbers: dict[p.Node, int] = {}
        self.parents = [NOBODY]
        self._reader = NOBODY

    def produce(self, node: p.Node, env: Env, required: set[int], consume: Consume) -> None:
        """See `Generator`."""
        reader = self._reader
        number = self._number(node)
        meter = self._meter

        def give(inner: Env) -> None:
            self.source.line(f"{meter}.give({number})")
            self._reader = reader
            consume(inner)
            self._reader = number
            self.source.line(f"{meter}.take({number})")

        self.source.line(f"{meter}.enter({number})")
        self._reader = number
        super().produce(node, env, required, give)
        self._reader = reader
        self.source.line(f"{meter}.leave({number})")

    def scanned(self, node: p.Scan) -> None:
        """See `Generator`."""
        self.source.line(f"{self._meter}.scan({self._number(node)})")

    @property
    def _meter(self) -> str:
        return self.source.setup("meter", "meter", "context.meter")

    def _number(self, node: p.Node) -> int:
        number = self.numbers.get(node)
        if number is None:
            number = self.numbers[node] = len(self.parents)
            self.parents.append(self._reader)
        return number


class MeteredTransaction:
    """A transaction that counts what a statement reads and writes.

    `read_bytes` and `written_bytes` are of keys and values; what is smaller than `smallest` counts as that:
    a write, and all that is read of one keyspace.
    """

    def __init__(self, transaction: Transaction, smallest: int) -> None:
        self._transaction = transaction
        self._smallest = smallest
        self._read: dict[bytes, int] = {}  # by keyspace
        self.written_bytes = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transaction, name)

    @property
    def read_bytes(self) -> int:
        """What has been read."""
        return sum(max(count, self._smallest) for count in self._read.values())

    def get(self, key: bytes) -> bytes | None:
        """See `Transaction`."""
        return self._has_read(key, self._transaction.get(key))

    def read(self, key: bytes) -> bytes | None:
        """See `Transaction`."""
        return self._has_read(key, self._transaction.read(key))

    def scan(
        self, low: bytes, high: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """See `Transaction`."""
        for key, value in self._transaction.scan(low, high, reverse=reverse):
            self._has_read(key, value)
            yield key, value

    def put(self, key: bytes, value: bytes, mode: Mode, *, row: bool = False) -> None:
        """See `Transaction`."""
        self._has_written(key, value)
        self._transaction.put(key, value, mode, row=row)

    def delete(self, key: bytes, mode: Mode, *, row: bool = False) -> None:
        """See `Transaction`."""
        self._has_written(key, b"")
        self._transaction.delete(key, mode, row=row)

    def _has_read(self, key: bytes, value: bytes | None) -> bytes | None:
        keyspace = key[:PREFIX_BYTES]
        count = self._read.get(keyspace, 0)
        self._read[keyspace] = count + (0 if value is None else len(key) + len(value))
        return value

    def _has_written(self, key: bytes, value: bytes) -> None:
        self.written_bytes += max(len(key) + len(value), self._smallest)


class MeteredContext:
    """An `ExecutionContext` whose statement is metered."""

    def __init__(self, context: Any, meter: Meter, transaction: MeteredTransaction) -> None:
        self._context = context
        self.meter = meter
        self.transaction = transaction

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)


def measure(
    function: Callable[..., int],
    generator: MeteringGenerator,
    context: ExecutionContext,
    parameters: Sequence[Any],
    clock: Callable[[], float],
    smallest: int,
) -> Measurement:
    """Run what a generator has written. `smallest`: see `MeteredTransaction`."""
    meter = Meter(generator.parents, clock)
    transaction = MeteredTransaction(context.transaction, smallest)
    function(MeteredContext(context, meter, transaction), parameters)
    meter.take(NOBODY)

    def actual(node: p.Node) -> Actual:
        number = generator.numbers.get(node)  # none: there is no code for what gives no row
        return _NOTHING if number is None else meter.actual(number)

    return Measurement(actual, transaction.read_bytes, transaction.written_bytes)
