"""A set of rows that answers IN (subquery) with three values."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Any

from dsql.executor.key_set import KeySet
from dsql.executor.memory import StatementMemory
from dsql.executor.spill import Rows

Row = tuple[Any, ...]


class HashedRows(KeySet):
    """Rows to be looked up; those with NULLs are kept apart and compared one by one."""

    __slots__ = ("_partial",)

    def __init__(self, memory: StatementMemory) -> None:
        super().__init__(memory)
        self._partial: Rows | None = None

    def add_partial(self, row: Row) -> None:
        """Add a row with a NULL in it."""
        if self._partial is None:
            self._partial = Rows(self._memory)
        self._partial.add(row)

    def has(self, row: Row) -> bool:
        """Return whether `row` is certainly among the rows: a NULL is equal to nothing."""
        return row in self.recent or (bool(self.older) and self.has_written(row))

    def find(self, row: Row) -> bool | None:
        """Return whether `row` is among the rows; None if only NULLs leave that open."""
        others: Iterable[Row] = () if self._partial is None else self._partial
        if None in row:
            others = chain(self.recent, *self.older, others)
        elif row in self.recent or (self.older and self.has_written(row)):
            return True
        return None if any(_maybe_equal(row, other) for other in others) else False


def _maybe_equal(row: Row, other: Row) -> bool:
    return all(
        one is None or two is None or one == two for one, two in zip(row, other, strict=True)
    )
