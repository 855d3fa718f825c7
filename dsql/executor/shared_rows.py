"""The rows of a CTE at run time."""

from __future__ import annotations

from collections.abc import Iterator

from dsql.executor.memory import SAMPLE_EVERY
from dsql.executor.runs import Row
from dsql.executor.spill import Rows


class SharedRows:
    """Rows that are produced once, as far as any reader has come, and kept for the others.

    So a reader that stops early (LIMIT) stops an endless recursion too. The `kept` rows belong to whoever
    produces them as well: a recursion reads there what it has yielded.
    """

    __slots__ = ("_kept", "_rest")

    def __init__(self, rows: Iterator[Row], kept: Rows) -> None:
        self._kept = kept
        self._rest: Iterator[Row] | None = rows

    def __iter__(self) -> Iterator[Row]:
        return iter(self._kept) if self._rest is None else self._read()

    def whole(self) -> Rows:
        """Produce all rows, and return them; that is faster, for who will read them to the end."""
        if self._rest is not None:
            self._kept.fill(self._rest)
            self._rest = None
        return self._kept

    def _read(self) -> Iterator[Row]:
        kept, place = self._kept, 0
        while True:
            for row in kept.since(place):
                place += 1
                yield row
            if self._rest is None:
                return
            for row in self._rest:
                kept.list.append(row)
                if not len(kept.list) % SAMPLE_EVERY:
                    kept.sample()
                place += 1
                yield row
                if place < len(kept):
                    break  # another reader has gone on
            else:
                self._rest = None
