"""An external merge sort, in steps that are short enough to be cancelled between.

Python's sort cannot be interrupted, so long lists are sorted piece by piece. Sorted pieces and sorted runs
are merged alike: of every source there are some rows in memory, and those that no later row can precede
are sorted together, which Python does fast because they are in order already but for a few places.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from operator import itemgetter
from typing import Any

from dsql.executor.memory import StatementMemory
from dsql.executor.runs import Row, Run, write_run
from dsql.executor.spill import Rows, RowsByPlace

Order = Callable[[list[Row]], None]
Key = Callable[[Row], Any]

_SORT_ROWS = 32_768  # sorted in one step
_FAN_IN_MAX = 64  # runs merged at once
_BATCH_ROWS = 128  # written at once


class Descending:
    """A sort key that sorts the other way."""

    __slots__ = ("_value",)

    def __init__(self, value: Any) -> None:
        self._value = value

    def __lt__(self, other: Descending) -> bool:
        return other._value < self._value  # type: ignore[no-any-return]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Descending) and self._value == other._value

    __hash__ = None  # type: ignore[assignment]


class _Source:
    """A sorted sequence of chunks, some of whose rows are in memory."""

    __slots__ = ("_chunks", "_enough", "more", "rows")

    def __init__(self, chunks: Iterator[list[Row]]) -> None:
        self._chunks = chunks
        self._enough = 1
        self.rows: list[Row] = []
        self.more = True  # there may be further chunks

    def fill(self) -> bool:
        """Have about a chunk's rows in memory; return whether there are any."""
        while self.more and len(self.rows) < self._enough:
            chunk = next(self._chunks, None)
            if chunk is None:
                self.more = False
            else:
                self.rows = self.rows + chunk if self.rows else chunk
                self._enough = (len(chunk) + 1) // 2
        return bool(self.rows)

    def take(self, follows: Callable[[Row], bool] | None) -> list[Row]:
        """Remove and return the rows before those that follow."""
        count = len(self.rows)
        if follows is not None:
            count = bisect_left(self.rows, True, key=follows)
        taken = self.rows[:count]
        self.rows = self.rows[count:]
        return taken


class Sorter:
    """How rows are ordered.

    `order` sorts a list as generated code does; `key` makes of a row what sorts as it does: the other
    way with `reverse`.
    """

    __slots__ = ("_check", "_key", "_order", "_reverse")

    def __init__(self, check: Callable[[], None], order: Order, key: Key, *, reverse: bool) -> None:
        self._check = check
        self._order = order
        self._key = key
        self._reverse = reverse

    def sort(self, rows: list[Row]) -> None:
        """Sort a list."""
        if len(rows) <= _SORT_ROWS:
            self._order(rows)
            return
        pieces = [rows[start : start + _SORT_ROWS] for start in range(0, len(rows), _SORT_ROWS)]
        for piece in pieces:
            self._check()
            self._order(piece)
        rows.clear()
        for batch in self.merge([_slices(piece, len(pieces)) for piece in pieces]):
            rows += batch

    def merge(self, sequences: Sequence[Iterator[list[Row]]]) -> Iterator[list[Row]]:
        """Yield the rows of sorted sequences of chunks in order, a batch at a time."""
        sources = [_Source(chunks) for chunks in sequences]
        while sources := [source for source in sources if source.fill()]:
            self._check()
            limits = self._limits(sources)
            batch = list(chain.from_iterable(map(_Source.take, sources, limits)))
            if len(sources) > 1:
                self._order(batch)
            yield batch

    def _limits(self, sources: Sequence[_Source]) -> Sequence[Callable[[Row], bool] | None]:
        """Return for each source the test for rows that are not certainly before what is to come from any.

        Of rows with equal keys those of earlier sources are before those of later ones.
        """
        key = self._key
        ends = [(place, key(one.rows[-1])) for place, one in enumerate(sources) if one.more]
        if not ends:
            return [None] * len(sources)
        if self._reverse:
            last, bound = max(ends, key=itemgetter(1))  # the first of equal ones
            tests = lambda row: key(row) < bound, lambda row: not bound < key(row)
        else:
            last, bound = min(ends, key=itemgetter(1))
            tests = lambda row: bound < key(row), lambda row: not key(row) < bound
        return [tests[place > last] for place in range(len(sources))]


def _slices(rows: list[Row], count: int) -> Iterator[list[Row]]:
    """Yield a list in chunks that make a moderate batch with those of `count` lists."""
    length = max(_SORT_ROWS // (2 * count), 1)
    for start in range(0, len(rows), length):
        yield rows[start : start + length]


class SortedRows(Rows):
    """Rows that come back in order, see `Sorter`. Of more than `wanted` rows the first ones are kept."""

    __slots__ = ("_sorter", "_wanted")

    def __init__(
        self,
        memory: StatementMemory,
        order: Order,
        key: Key,
        *,
        reverse: bool = False,
        wanted: int = 0,
    ) -> None:
        super().__init__(memory)
        self._sorter = Sorter(memory.check_cancel, order, key, reverse=reverse)
        self._wanted = wanted

    def prune(self) -> None:
        """Keep the first rows only."""
        self._sorter.sort(self.list)
        del self.list[self._wanted :]
        self._held.clear()
        self._held.list(self.list)

    def _spill(self) -> None:
        if self._wanted and len(self.list) > self._wanted:
            self.prune()
            if self._held.bytes * 2 <= self._share:
                return
        self._sorter.sort(self.list)
        self.written += len(self.list)
        run = write_run(self._memory, self.list)
        self._held.clear()
        self._add_run(run)

    def append_sorted(self, rows: Iterator[Row]) -> None:
        """Write out rows that come in order, and after those of their keys that are there already."""
        run = Run(self._memory)
        while batch := list(islice(rows, _BATCH_ROWS)):
            run.append(batch)
            self.written += len(batch)
        run.finish()
        self._add_run(run)

    def _add_run(self, run: Run) -> None:
        self._runs.append(run)
        if len(self._runs) == _FAN_IN_MAX:
            self._runs = [self._merged()]

    def _merged(self) -> Run:
        """Merge the runs into one."""
        run = Run(self._memory)
        for batch in self._sorter.merge([run.chunks() for run in self._runs]):
            run.append(batch)
        run.finish()
        return run

    def sequence(self) -> Sequence[Row]:
        """Return the rows in order, for reading at any place; to be called once, after the last row."""
        self._sorter.sort(self.list)
        if not self._runs:
            return self.list
        self._spill()
        self._runs = [self._merged()]
        return RowsByPlace(self._runs)

    def __iter__(self) -> Iterator[Row]:
        """Return the rows in order; to be called once, after the last row."""
        self._sorter.sort(self.list)
        if not self._runs:
            return iter(self.list)
        runs = [run.chunks() for run in self._runs]
        chunks = _slices(self.list, len(runs))
        return chain.from_iterable(self._sorter.merge([*runs, chunks]))
