"""Rows in temporary space: appended in order, read from any place on.

A `Run` is a sequence of chunks, each some rows in Python's marshal format, or in pickle's where a row
holds a numeric or a record.
"""

from __future__ import annotations

import marshal
import pickle
from collections.abc import Iterator
from itertools import chain
from typing import Any

from dsql.executor.memory import StatementMemory
from dsql.executor.temporary import BLOCK_BYTES, Blocks

Row = Any

_CHUNK_ROWS = 128  # read at once, at most
_CHUNK_BYTES = 64 * 1024  # a merge holds two chunks of each run, so none may be large without need
_MARSHAL, _PICKLE = b"m", b"p"


class Run:
    """Rows in temporary space, in the order in which they were appended; the last ones wait in a buffer."""

    __slots__ = ("_blocks", "_buffer", "_check", "_end", "_starts", "lengths")

    def __init__(self, memory: StatementMemory) -> None:
        self._check = memory.check_cancel
        self._blocks = Blocks(memory.space, memory)
        self._buffer = bytearray()
        self._starts: list[int] = []  # where each chunk begins in the run
        self._end = 0
        self.lengths: list[int] = []  # how many rows each chunk has

    def append(self, rows: list[Row]) -> None:
        """Write some rows, in chunks of moderate size. Raises SqlError 53100, 53400, 54000."""
        for start in range(0, len(rows), _CHUNK_ROWS):
            self._append(rows[start : start + _CHUNK_ROWS])

    def _append(self, rows: list[Row]) -> None:
        data = _dump(rows)
        if len(data) > _CHUNK_BYTES and len(rows) > 1:
            self._append(rows[: len(rows) // 2])
            self._append(rows[len(rows) // 2 :])
        else:
            self._add_chunk(rows, data)

    def append_chunk(self, rows: list[Row]) -> None:
        """Write some rows as one chunk, however large."""
        self._add_chunk(rows, _dump(rows))

    def _add_chunk(self, rows: list[Row], data: bytes) -> None:
        self._check()
        self._starts.append(self._end)
        self._end += len(data)
        self.lengths.append(len(rows))
        self._buffer += data
        while len(self._buffer) >= BLOCK_BYTES:
            self._blocks.append(memoryview(self._buffer)[:BLOCK_BYTES].tobytes())
            del self._buffer[:BLOCK_BYTES]

    def finish(self) -> None:
        """Write what waits; nothing may be appended then."""
        if self._buffer:
            self._blocks.append(bytes(self._buffer))
            self._buffer.clear()

    def chunk(self, number: int) -> list[Row]:
        """Return the rows of a chunk."""
        start, length = self._starts[number], self.size(number)
        waiting = start + length - len(self._blocks) * BLOCK_BYTES  # bytes that are in the buffer
        if waiting <= 0 or not self._buffer:
            return _load(self._blocks.read(start, length))
        if waiting < length:
            first = self._blocks.read(start, length - waiting)
            return _load(first + self._buffer[:waiting])
        return _load(bytes(self._buffer[waiting - length : waiting]))

    def size(self, number: int) -> int:
        """Return how many bytes a chunk takes."""
        following = number + 1
        end = self._starts[following] if following < len(self._starts) else self._end
        return end - self._starts[number]

    def chunks(self) -> Iterator[list[Row]]:
        """Yield the rows, a chunk at a time."""
        for number in range(len(self._starts)):
            self._check()
            yield self.chunk(number)

    def since(self, place: int) -> Iterator[Row]:
        """Yield the rows from a place on."""
        for number, length in enumerate(self.lengths):
            if place < length:
                self._check()
                yield from self.chunk(number)[place:]
            place = max(place - length, 0)

    def __iter__(self) -> Iterator[Row]:
        return chain.from_iterable(self.chunks())


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
    run.append(rows)
    run.finish()
    rows.clear()
    return run
