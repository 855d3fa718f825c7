"""A set of rows that answers IN (subquery) with three values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from dsql.executor.memory import Held, StatementMemory


class HashedRows:
    """Rows to be looked up; those with NULLs are kept apart and compared one by one."""

    __slots__ = ("_complete", "_held", "_partial")

    def __init__(self, rows: Iterable[tuple[Any, ...]], memory: StatementMemory) -> None:
        """Raises SqlError 54000 or 53200 if they are more than the statement may hold."""
        self._complete: set[tuple[Any, ...]] = set()
        self._partial: list[tuple[Any, ...]] = []
        self._held = Held(memory)
        for row in rows:
            if None in row:
                self._partial.append(row)
                self._held.large(row)
            elif row not in self._complete:
                self._complete.add(row)
                self._held.large(row)

    def has(self, row: tuple[Any, ...]) -> bool:
        """Return whether `row` is certainly among the rows: a NULL is equal to nothing."""
        return row in self._complete

    def find(self, row: tuple[Any, ...]) -> bool | None:
        """Return whether `row` is among the rows; None if only NULLs leave that open."""
        if None not in row:
            if row in self._complete:
                return True
            others: Sequence[tuple[Any, ...]] = self._partial
        else:
            others = [*self._complete, *self._partial]
        return None if any(_maybe_equal(row, other) for other in others) else False


def _maybe_equal(row: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    return all(
        one is None or two is None or one == two for one, two in zip(row, other, strict=True)
    )
