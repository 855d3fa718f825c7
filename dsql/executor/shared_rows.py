"""The rows of a CTE at run time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dsql.executor.memory import SAMPLE_EVERY, Held, StatementMemory

Row = tuple[Any, ...]


class SharedRows:
    """Rows that are produced once, as far as any reader has come, and kept for the others.

    So a reader that stops early (LIMIT) stops an endless recursion too.
    """

    __slots__ = ("_held", "_rest", "_rows")

    def __init__(self, rows: Iterator[Row], memory: StatementMemory) -> None:
        self._rows: list[Row] = []
        self._rest: Iterator[Row] | None = rows
        self._held = Held(memory)

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows) if self._rest is None else self._read()

    def complete(self) -> None:
        """Produce all rows: what a data-modifying query writes must not depend on its readers."""
        for _ in self:
            pass

    def _read(self) -> Iterator[Row]:
        rows, index = self._rows, 0
        while True:
            while index < len(rows):
                yield rows[index]
                index += 1
            if self._rest is None:
                return
            try:
                rows.append(next(self._rest))
            except StopIteration:
                self._rest = None
            else:
                if not len(rows) % SAMPLE_EVERY:
                    self._held.sample(rows)
