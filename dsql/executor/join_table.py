"""The hash table of a join, which goes on in temporary space: a Grace hash join.

An inner side that is more than memory should hold goes to runs of rows, by the hash of their keys, and
so do the outer rows then. One partition after the other becomes the table while the outer rows of the same
partition pass by. A partition that is still too large is divided once more, by another hash.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any

from dsql.executor.memory import SET_ENTRY_BYTES, Held, StatementMemory
from dsql.executor.partition import DEPTH_MAX, Partitions
from dsql.executor.runs import Row
from dsql.executor.spill import Rows

Key = Any
Defer = Callable[[Row, Partitions], None]


class JoinTable:
    """Inner rows by their keys. Generated code fills `rows`, and calls `sample` and `large`."""

    __slots__ = ("_depth", "_held", "_inner", "_memory", "rows")

    def __init__(self, memory: StatementMemory) -> None:
        self.rows: dict[Key, Any] = {}
        self._memory = memory
        self._held = Held(memory)
        self._depth = 0
        self._inner: Partitions | None = None

    def sample(self, row: Row) -> None:
        """Account for the last `SAMPLE_EVERY` rows by this one, a key and fields."""
        self._held.sample_entry(row)
        if self._is_full():
            self._spill()

    def large(self, value: Any) -> None:
        """Account for a large value."""
        self._held.large(value)
        if self._is_full():
            self._spill()

    def _is_full(self) -> bool:
        return self._memory.is_share(self._held.bytes)

    def _spill(self) -> None:
        if self._inner is None:
            self._inner = Partitions(self._memory, self._depth)
        self._inner.move(self._entries(), 0)
        self._inner.flush()
        self._forget()

    def _entries(self) -> Iterator[tuple[Key, Any]]:
        return ((key, row) for key, rows in self.rows.items() for row in rows)

    def _enter(self, entries: list[tuple[Key, Any]]) -> None:
        enter = self.rows.setdefault
        for key, row in entries:
            enter(key, []).append(row)

    def _forget(self) -> None:
        self.rows.clear()
        self._held.clear()

    def outer(self, outer: Iterable[Row], defer: Defer) -> Iterable[Row]:
        """Return the outer rows, each when `rows` has all its matches.

        `defer` adds an outer row to partitions, by its key, or by None if it matches nothing.
        """
        if self._inner is None:
            return outer
        return chain.from_iterable(self._divided_by_key(outer, defer))

    def batches(self, outer: Iterable[Row], defer: Defer) -> Iterable[Iterable[Row]]:
        """Return the outer rows in batches; after each, `rows` still has the inner rows of it."""
        return (outer,) if self._inner is None else self._divided_by_key(outer, defer)

    def _divided_by_key(self, outer: Iterable[Row], defer: Defer) -> Iterator[Iterable[Row]]:
        """Yield the outer rows that belong to one partition of the inner side after the other."""
        self._spill()
        assert self._inner is not None
        inners, outers = self._inner, Partitions(self._memory, self._depth)
        self._inner = None
        for row in outer:
            defer(row, outers)
        for inner, rows in zip(inners.take(), outers.take(), strict=True):
            yield from self._batch(inner, rows, defer)

    def _batch(self, inner: Rows, outer: Rows, defer: Defer) -> Iterator[Iterable[Row]]:
        """Make a partition of the inner side the table, or divide it if it is too large for that."""
        self._forget()
        rest = inner.chunks()
        for entries, size in rest:
            self._enter(entries)
            self._held.read(entries, len(entries), size, SET_ENTRY_BYTES)
            if self._is_full() and len(self.rows) > 1 and self._depth < DEPTH_MAX:
                yield from self._divided(rest, outer, defer)
                return
        yield outer

    def _divided(
        self, rest: Iterator[tuple[list[Row], int]], outer: Rows, defer: Defer
    ) -> Iterator[Iterable[Row]]:
        self._depth += 1
        self._spill()
        assert self._inner is not None
        for entries, size in rest:
            self._inner.move(entries, size)
        yield from self._divided_by_key(outer, defer)
        self._depth -= 1


class CountTable(JoinTable):
    """How often each key is there."""

    __slots__ = ()

    def _entries(self) -> Iterator[tuple[Key, Any]]:
        return iter(self.rows.items())

    def _enter(self, entries: list[tuple[Key, Any]]) -> None:
        rows = self.rows
        for key, count in entries:
            rows[key] = rows.get(key, 0) + count
