"""What aggregates keep of their input, for all groups of an aggregation together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

from dsql.executor.runs import Row
from dsql.executor.sorting import SortedRows
from dsql.executor.spill import Rows

_NUMBER = itemgetter(0)


class GroupedRows(SortedRows):
    """Rows that begin with their group's number, by which they are sorted first."""

    __slots__ = ("_groups", "_next")

    _groups: Iterator[tuple[int, Iterator[Row]]] | None
    _next: tuple[int, Iterator[Row]] | None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._groups = self._next = None

    def group(self, number: int) -> Iterable[Row]:
        """Return the rows of a group. Groups are asked for in ascending order, after the last row."""
        if self._groups is None:
            self._groups = groupby(self, _NUMBER)
        if self._next is None:
            self._next = next(self._groups, None)
        if self._next is None or self._next[0] != number:
            return ()
        rows, self._next = self._next[1], None
        return rows

    def values(self, number: int) -> Sequence[Any]:
        """Return what follows the number in the rows of a group, to be read at any place."""
        rows = self.group(number)
        if self.in_memory:
            return [row[1] for row in rows]
        values = Rows(self._memory)
        for row in rows:
            values.add(row[1])
        return values.sequence()

    def clear(self) -> None:
        """Forget all rows."""
        self._groups = self._next = None
        super().clear()
