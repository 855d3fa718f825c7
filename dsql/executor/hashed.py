"""A set of rows that answers IN (subquery) with three values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class HashedRows:
    """Rows to be looked up; those with NULLs are kept apart and compared one by one."""

    __slots__ = ("_complete", "_partial")

    def __init__(self, rows: Sequence[tuple[Any, ...]]) -> None:
        self._complete = {row for row in rows if None not in row}
        self._partial = [row for row in rows if None in row]

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
