"""Rows that a plan node keeps: in a list while they are few, in temporary space beyond that.

`Rows` keeps rows in the order in which they come. Generated code appends to a plain list, which is written
out to a run (see `dsql.executor.runs`) when it has taken its share of memory.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from itertools import accumulate, chain, islice
from typing import Any, overload

from dsql.executor.memory import SAMPLE_EVERY, Held, StatementMemory
from dsql.executor.runs import Row, Run
from dsql.types.size import size_of

_READ_BYTES_MAX = 1024 * 1024  # of the chunks read last, as they are on disk
_FILL_ROWS = 1_024  # between two samples
_ADDED_BYTES = 4_096  # are accounted for at once


class Rows:
    """Rows in the order in which they come, to be read any number of times.

    Generated code appends to `list`, calls `sample` after every `SAMPLE_EVERY` rows and `large` for large
    values. `written`: how many rows are in temporary space, before those of the list.
    """

    __slots__ = ("_added", "_held", "_memory", "_runs", "_share", "list", "written")

    def __init__(self, memory: StatementMemory, share: int | None = None) -> None:
        """`share`: bytes of memory beyond which they are written out."""
        self.list: list[Row] = []
        self._share = memory.bounds.work_max if share is None else share
        self._memory = memory
        self._held = Held(memory)
        self._runs: list[Run] = []
        self.written = 0
        self._added = 0

    def sample(self) -> None:
        """Account for the last rows; beyond the node's share of memory they are written out."""
        if not self.list:
            return  # a large value has just had them written out
        self._held.sample(self.list)
        if self._is_full():
            self._spill()

    def large(self, value: Any) -> None:
        """Account for a large value of the last row."""
        self._held.large(value)
        if self._is_full():
            self._spill()

    def add(self, row: Row) -> None:
        """Append a row of whatever size."""
        self.list.append(row)
        self._added += size_of(row)
        if self._added > _ADDED_BYTES:
            self._held.add(self._added)
            self._added = 0
            if self._is_full():
                self._spill()

    def fill(self, rows: Iterator[Row]) -> None:
        """Append rows as fast as they come; whoever makes them calls `large` for their large values."""
        kept, added = self.list, _FILL_ROWS
        while added == _FILL_ROWS:
            before = len(kept) + self.written
            kept.extend(
                islice(rows, _FILL_ROWS)
            )  # item by item: who makes them may read or spill them
            added = len(kept) + self.written - before
            if added >= SAMPLE_EVERY and kept:
                self._held.sample_many(kept, min(added, len(kept)))
                if self._is_full():
                    self._spill()

    def extend(self, rows: list[Row], size: int) -> None:
        """Append rows that were read from a chunk of `size` bytes in temporary space."""
        if rows:
            self.list += rows
            self._held.read(rows, len(rows), size)
            if self._is_full():
                self._spill()

    def flush(self) -> None:
        """Write out what is in memory."""
        if self.list:
            self._spill()

    def chunks(self) -> Iterator[tuple[list[Row], int]]:
        """Yield the rows in lists, each with the bytes that it takes where it is."""
        for run in self._runs:
            for number, rows in enumerate(run.chunks()):
                yield rows, run.size(number)
        if self.list:
            yield self.list, size_of(self.list)

    def clear(self) -> None:
        """Forget all rows."""
        self.list.clear()
        self._runs.clear()
        self.written = 0
        self._held.clear()

    def _is_full(self) -> bool:
        size = self._held.bytes
        return size > self._share or self._memory.is_share(size)

    def _spill(self) -> None:
        if not self._runs:
            self._runs.append(Run(self._memory))
        self._runs[0].append(self.list)
        self.written += len(self.list)
        self.list.clear()
        self._held.clear()

    def sequence(self) -> Sequence[Row]:
        """Return the rows, all of which are there, for reading at any place."""
        if not self._runs:
            return self.list
        if self.list:
            self._spill()
        return RowsByPlace(self._runs)

    def since(self, place: int) -> Iterable[Row]:
        """Return the rows from a place on that are there now, to be read while others are appended."""
        rows = self.list[max(place - self.written, 0) :]
        count = self.written - place
        return _Part(self._runs[0], place, count, rows) if count > 0 else rows

    def between(self, start: int, end: int) -> Iterable[Row]:
        """Return the rows from one place up to another one, to be read while others are appended."""
        if start >= self.written:
            return self.list[start - self.written : end - self.written]
        return islice(self.since(start), end - start)

    def __iter__(self) -> Iterator[Row]:
        if not self._runs:
            return iter(self.list)
        return self._all()

    def _all(self) -> Iterator[Row]:
        for run in self._runs:
            yield from run
        yield from self.list

    def __len__(self) -> int:
        return len(self.list) + self.written

    @property
    def in_memory(self) -> bool:
        """True if no row has been written out."""
        return not self._runs

    def __bool__(self) -> bool:
        return bool(self.list or self._runs)


class _Part:
    """Some rows of a run, which goes on growing, and then others."""

    __slots__ = ("_count", "_place", "_rows", "_run")

    def __init__(self, run: Run, place: int, count: int, rows: list[Row]) -> None:
        self._run = run
        self._place = place
        self._count = count
        self._rows = rows

    def __iter__(self) -> Iterator[Row]:
        return chain(islice(self._run.since(self._place), self._count), self._rows)


class RowsByPlace(Sequence[Row]):
    """The rows of runs, or some of them, by their places; the chunks read last stay in memory."""

    def __init__(self, runs: list[Run]) -> None:
        self._chunks = [(run, number) for run in runs for number in range(len(run.lengths))]
        lengths = [run.lengths[number] for run, number in self._chunks]
        self._ends = list(accumulate(lengths))
        self._sizes = list(accumulate(run.size(number) for run, number in self._chunks))
        self._read: dict[int, list[Row]] = {}
        self._read_bytes = 0
        self._span = range(self._ends[-1] if lengths else 0)

    def __len__(self) -> int:
        return len(self._span)

    @overload
    def __getitem__(self, place: int) -> Row: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Row]: ...
    def __getitem__(self, place: int | slice) -> Any:
        if isinstance(place, slice):
            return self._part(self._span[place])
        place = self._span[place]
        number = bisect_right(self._ends, place)
        return self._chunk(number)[place - self._ends[number]]  # from its end, downwards

    def _part(self, span: range) -> Sequence[Row]:
        """Return some rows: as a list if they are few."""
        part = copy(self)
        part._span, part._read, part._read_bytes = span, {}, 0
        if not span:
            return []
        first, last = (bisect_right(self._ends, place) for place in (span[0], span[-1]))
        small = self._sizes[last] - self._sizes[first] + self._size(first) <= _READ_BYTES_MAX
        return list(part) if small else part

    def __iter__(self) -> Iterator[Row]:
        span = self._span
        place = span.start
        while place < span.stop:
            number = bisect_right(self._ends, place)
            chunk, end = self._chunk(number), min(self._ends[number], span.stop)
            start = len(chunk) - self._ends[number]
            yield from chunk[start + place : start + end]
            place = end

    def _size(self, number: int) -> int:
        return self._sizes[number] - (self._sizes[number - 1] if number else 0)

    def _chunk(self, number: int) -> list[Row]:
        rows = self._read.get(number)
        if rows is None:
            self._read_bytes += self._size(number)
            while self._read and self._read_bytes > _READ_BYTES_MAX:
                oldest = next(iter(self._read))
                del self._read[oldest]
                self._read_bytes -= self._size(oldest)
            run, place = self._chunks[number]
            rows = self._read[number] = run.chunk(place)
        return rows
