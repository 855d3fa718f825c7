"""Rows that a plan node keeps: in a list while they are few, in temporary space beyond that.

A `Run` is a sequence of chunks, each some rows in Python's marshal format, or in pickle's where a row
holds a numeric or a record. `Rows` keeps rows in the order in which they come, `SortedRows` gives them
back sorted: an external merge sort. Both append to a plain list, which generated code fills itself.
"""

from __future__ import annotations

import marshal
import pickle
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from heapq import merge
from itertools import accumulate, islice
from typing import Any, overload

from dsql.executor.memory import SAMPLE_EVERY, Held, StatementMemory
from dsql.executor.temporary import BLOCK_BYTES, Blocks
from dsql.types.size import size_of

Row = Any
Order = Callable[[list[Row]], None]

_CHUNK_ROWS = 128
_CHUNK_BYTES = 64 * 1024  # a merge holds a chunk of each run, so none may be large without need
# A longer list is sorted piece by piece, because no cancellation is seen during a sort.
_SORT_ROWS = 100_000
_FAN_IN_MAX = 64  # runs merged at once
_HEADER_BYTES = 5
_READ_CHUNKS_MAX = 16
_MARSHAL, _PICKLE = b"m", b"p"


class Run:
    """Rows in temporary space, in the order in which they were written."""

    __slots__ = ("_blocks", "_buffer", "_check", "_starts", "lengths")

    def __init__(self, memory: StatementMemory) -> None:
        self._check = memory.check_cancel
        self._blocks = Blocks(memory.space, memory)
        self._buffer = bytearray()
        self._starts: list[int] = []  # where each chunk begins in the run
        self.lengths: list[int] = []  # how many rows each chunk has

    def append(self, rows: list[Row]) -> None:
        """Write some rows, in chunks of moderate size. Raises SqlError 53100, 53400, 54000."""
        data = _dump(rows)
        if len(data) > _CHUNK_BYTES and len(rows) > 1:
            self.append(rows[: len(rows) // 2])
            self.append(rows[len(rows) // 2 :])
            return
        self._starts.append(len(self._blocks) * BLOCK_BYTES + len(self._buffer))
        self.lengths.append(len(rows))
        self._buffer += len(data).to_bytes(_HEADER_BYTES - 1, "big")
        self._buffer += data
        while len(self._buffer) >= BLOCK_BYTES:
            self._blocks.append(memoryview(self._buffer)[:BLOCK_BYTES].tobytes())
            del self._buffer[:BLOCK_BYTES]

    def finish(self) -> None:
        """Write what is left; nothing may be appended then."""
        if self._buffer:
            self._blocks.append(bytes(self._buffer))
            self._buffer.clear()

    def chunk(self, number: int) -> list[Row]:
        """Return the rows of a chunk of a finished run."""
        start = self._starts[number]
        length = int.from_bytes(self._blocks.read(start, _HEADER_BYTES - 1), "big")
        return _load(self._blocks.read(start + _HEADER_BYTES - 1, length))

    def __iter__(self) -> Iterator[Row]:
        for number in range(len(self._starts)):
            self._check()
            yield from self.chunk(number)


def _dump(rows: list[Row]) -> bytes:
    try:
        return _MARSHAL + marshal.dumps(rows)
    except ValueError:
        return _PICKLE + pickle.dumps(rows, pickle.HIGHEST_PROTOCOL)


def _load(data: bytes) -> list[Row]:
    """Return what `_dump` wrote, which nobody else can have written: the file has no name."""
    load = marshal.loads if data[:1] == _MARSHAL else pickle.loads
    return load(memoryview(data)[1:])  # type: ignore[no-any-return]


def write_run(memory: StatementMemory, rows: list[Row]) -> Run:
    """Write a list as a run, and empty it."""
    run = Run(memory)
    for start in range(0, len(rows), _CHUNK_ROWS):
        memory.check_cancel()
        run.append(rows[start : start + _CHUNK_ROWS])
    run.finish()
    rows.clear()
    return run


class Rows:
    """Rows in the order in which they come, to be read any number of times.

    Generated code appends to `list`, calls `sample` after every `SAMPLE_EVERY` rows and `large` for large
    values.
    """

    __slots__ = ("_held", "_memory", "_runs", "_share", "list")

    def __init__(self, memory: StatementMemory, share: int | None = None) -> None:
        """`share`: bytes of memory beyond which they are written out."""
        self.list: list[Row] = []
        self._share = memory.bounds.work_max if share is None else share
        self._memory = memory
        self._held = Held(memory)
        self._runs: list[Run] = []

    def sample(self) -> None:
        """Account for the last rows; beyond the node's share of memory they are written out."""
        if not self.list:
            return  # a large value has just had them written out
        self._held.sample(self.list)
        if self._held.bytes > self._share:
            self._spill()

    def large(self, value: Any) -> None:
        """Account for a large value of the last row."""
        self._held.large(value)
        if self._held.bytes > self._share:
            self._spill()

    def add(self, row: Row) -> None:
        """Append a row of whatever size."""
        self.list.append(row)
        self.large(row)

    def _spill(self) -> None:
        self._runs.append(write_run(self._memory, self.list))
        self._held.clear()

    def sequence(self) -> Sequence[Row]:
        """Return the rows, all of which are there, for reading at any place."""
        if not self._runs:
            return self.list
        if self.list:
            self._spill()
        return _Sequence(self._runs)

    def __iter__(self) -> Iterator[Row]:
        if not self._runs:
            return iter(self.list)
        return self._all()

    def _all(self) -> Iterator[Row]:
        for run in self._runs:
            yield from run
        yield from self.list

    def __len__(self) -> int:
        return len(self.list) + sum(sum(run.lengths) for run in self._runs)

    @property
    def in_memory(self) -> bool:
        """True if no row has been written out."""
        return not self._runs

    def __bool__(self) -> bool:
        return bool(self.list or self._runs)


class _Sequence(Sequence[Row]):
    """Rows of runs by their places; the chunks read last stay in memory."""

    def __init__(self, runs: list[Run]) -> None:
        self._chunks = [(run, number) for run in runs for number in range(len(run.lengths))]
        lengths = [run.lengths[number] for run, number in self._chunks]
        self._ends = list(accumulate(lengths))
        self._starts = [end - length for end, length in zip(self._ends, lengths, strict=True)]
        self._read: dict[int, list[Row]] = {}

    def __len__(self) -> int:
        return self._ends[-1]

    @overload
    def __getitem__(self, place: int) -> Row: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Row]: ...
    def __getitem__(self, place: int | slice) -> Any:
        assert isinstance(place, int)
        number = bisect_right(self._ends, place)
        return self._chunk(number)[place - self._starts[number]]

    def __iter__(self) -> Iterator[Row]:
        for number in range(len(self._chunks)):
            yield from self._chunk(number)

    def _chunk(self, number: int) -> list[Row]:
        rows = self._read.get(number)
        if rows is None:
            if len(self._read) >= _READ_CHUNKS_MAX:
                del self._read[next(iter(self._read))]
            run, place = self._chunks[number]
            rows = self._read[number] = run.chunk(place)
        return rows


def _estimate(rows: list[Row]) -> int:
    """Return about how many bytes rows take, by a few of them."""
    if not rows:
        return 0
    some = rows[:: -(-len(rows) // SAMPLE_EVERY)]
    return sum(map(size_of, some)) * len(rows) // len(some)


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


class SortedRows(Rows):
    """An external merge sort.

    `order` sorts a list as generated code does; `key` makes of a row what sorts as it does: the other
    way with `reverse`. `mixed`: `order` takes several passes. Of more than `wanted` rows the first ones
    are kept.
    """

    __slots__ = ("_key", "_mixed", "_order", "_reverse", "_wanted")

    def __init__(
        self,
        memory: StatementMemory,
        order: Order,
        key: Callable[[Row], Any],
        *,
        reverse: bool = False,
        mixed: bool = False,
        wanted: int = 0,
    ) -> None:
        super().__init__(memory)
        self._order = order
        self._key = key
        self._reverse = reverse
        self._mixed = mixed
        self._wanted = wanted

    def prune(self) -> None:
        """Keep the first rows only."""
        self._sort()
        del self.list[self._wanted :]
        self._held.clear()
        self._held.add(_estimate(self.list))

    def _spill(self) -> None:
        if self._wanted and len(self.list) > self._wanted:
            self.prune()
            if self._held.bytes * 2 <= self._share:
                return
        self._sort()
        self._runs.append(write_run(self._memory, self.list))
        self._held.clear()
        if len(self._runs) == _FAN_IN_MAX:
            self._runs = [self._merged()]

    def _merged(self) -> Run:
        """Merge the runs into one."""
        rows = merge(*self._runs, key=self._key, reverse=self._reverse)
        run = Run(self._memory)
        while chunk := list(islice(rows, _CHUNK_ROWS)):
            run.append(chunk)
        run.finish()
        return run

    def _sort(self) -> None:
        rows, order = self.list, self._order
        if len(rows) > _SORT_ROWS and not self._mixed:
            for start in range(0, len(rows), _SORT_ROWS):
                part = rows[start : start + _SORT_ROWS]
                order(part)
                rows[start : start + _SORT_ROWS] = part
                self._memory.check_cancel()
        order(rows)  # quick if it has only to merge the sorted pieces

    def __iter__(self) -> Iterator[Row]:
        """Return the rows in order; to be called once, after the last row."""
        self._sort()
        if not self._runs:
            return iter(self.list)
        return merge(*self._runs, self.list, key=self._key, reverse=self._reverse)
