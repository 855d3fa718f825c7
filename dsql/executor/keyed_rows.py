"""Rows to be looked up by a key any number of times, which go on in temporary space.

What is written out is in buckets by the hash of the key, a chunk of a run each, so that a lookup reads one
chunk of every run. The bucket that was read last stays: rows that ask for the same come together often.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dsql.executor.memory import Held, StatementMemory
from dsql.executor.runs import Row, Run

Key = Any
Find = Any  # (key, default) -> rows

_BUCKET_BYTES = 16 * 1024


class KeyedRows:
    """Rows by their keys. Generated code fills `rows`, calls `sample` and `large`, then asks `finder`."""

    __slots__ = ("_bucket", "_buckets", "_held", "_memory", "_number", "_older", "rows")

    def __init__(self, memory: StatementMemory) -> None:
        self.rows: dict[Key, list[Row]] = {}
        self._memory = memory
        self._held = Held(memory)
        self._older: list[Run] = []
        self._buckets = 0
        self._number = -1  # of the bucket that was read last
        self._bucket: dict[Key, list[Row]] = {}

    def sample(self, row: Row) -> None:
        """Account for the last `SAMPLE_EVERY` rows by this one, a key and fields."""
        self._held.sample_entry(row)
        self._look()

    def large(self, value: Any) -> None:
        """Account for a large value."""
        self._held.large(value)
        self._look()

    def finder(self) -> Find:
        """Return the function from a key, and what stands for no rows, to the rows with that key."""
        if not self._older:
            return self.rows.get
        self._spill()
        return self._find

    def _find(self, key: Key, default: Iterable[Row]) -> Iterable[Row]:
        number = _hash(key) % self._buckets
        if number != self._number:
            self._bucket = self._read(number)
            self._number = number
        return self._bucket.get(key, default)

    def _read(self, number: int) -> dict[Key, list[Row]]:
        self._memory.check_cancel()
        found: dict[Key, list[Row]] = {}
        self._held.clear()
        for run in self._older:
            entries = run.chunk(number)
            if entries:
                self._held.read(entries, len(entries), run.size(number))
            for key, row in entries:
                found.setdefault(key, []).append(row)
        return found

    def _look(self) -> None:
        if self._memory.is_share(self._held.bytes):
            self._spill()

    def _spill(self) -> None:
        if not self._buckets:
            self._buckets = self._held.bytes // _BUCKET_BYTES + 1
        run = Run(self._memory)
        for entries in self._divided():
            run.append_chunk(entries)
        run.finish()
        self._older.append(run)
        self.rows.clear()
        self._held.clear()

    def _divided(self) -> list[list[tuple[Key, Row]]]:
        """Return the rows with their keys, by bucket."""
        buckets: list[list[tuple[Key, Row]]] = [[] for _ in range(self._buckets)]
        for key, rows in self.rows.items():
            buckets[_hash(key) % self._buckets] += [(key, row) for row in rows]
        return buckets


def _hash(key: Key) -> int:
    return hash((key,))  # a tuple's hash is mixed, an integer's is not
