"""Pure window functions over one partition.

The executor sorts a partition and offers it as `WindowRows`; a function yields one value per row, in order.
Rows are numbered from 0. Aggregates with OVER are the executor's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from dsql.errors import SqlError
from dsql.functions.definition import define_window


class WindowRows(Protocol):
    """One partition in window order."""

    def __len__(self) -> int:
        """Return how many rows the partition has."""
        ...

    def argument(self, number: int, row: int) -> Any:
        """Return the call's argument `number` (from 0) evaluated at a row; None for NULL."""
        ...

    def argument_count(self) -> int:
        """Return how many arguments the call has."""
        ...

    def peers(self, row: int) -> tuple[int, int]:
        """Return [start, end) of the rows that sort equal to `row`."""
        ...

    def frame(self, row: int) -> Sequence[int]:
        """Return the rows of a row's frame in order, exclusion applied (a range where there is none)."""
        ...


def row_number(rows: WindowRows) -> Iterator[int]:
    """Yield 1, 2, 3, ..."""
    yield from range(1, len(rows) + 1)


def rank(rows: WindowRows) -> Iterator[int]:
    """Yield the number of the first peer, with gaps."""
    row = 0
    while row < len(rows):
        start, end = rows.peers(row)
        yield from [start + 1] * (end - start)
        row = end


def dense_rank(rows: WindowRows) -> Iterator[int]:
    """Yield the number of the peer group, without gaps."""
    row = group = 0
    while row < len(rows):
        start, end = rows.peers(row)
        group += 1
        yield from [group] * (end - start)
        row = end


def percent_rank(rows: WindowRows) -> Iterator[float]:
    """Yield (rank - 1) / (rows - 1), 0 for a single row."""
    others = len(rows) - 1
    return (float(number - 1) / others if others else 0.0 for number in rank(rows))


def cume_dist(rows: WindowRows) -> Iterator[float]:
    """Yield the share of rows before or equal."""
    total = len(rows)
    return (float(rows.peers(row)[1]) / total for row in range(total))


def ntile(rows: WindowRows) -> Iterator[int | None]:
    """Yield the number of the bucket; the first buckets take the rest."""
    buckets = rows.argument(0, 0) if len(rows) else None
    if buckets is None:
        yield from [None] * len(rows)
        return
    if buckets <= 0:
        raise SqlError("22014", "argument of ntile must be greater than zero")
    size, rest = divmod(len(rows), buckets)
    for bucket in range(min(buckets, len(rows))):
        yield from [bucket + 1] * (size + (bucket < rest))


def _shifted(rows: WindowRows, direction: int) -> Iterator[Any]:
    """Yield the first argument's value some rows away, else the default."""
    count = rows.argument_count()
    for row in range(len(rows)):
        offset = rows.argument(1, row) if count > 1 else 1
        if offset is None:
            yield None
            continue
        at = row + direction * offset
        if 0 <= at < len(rows):
            yield rows.argument(0, at)
        else:
            yield rows.argument(2, row) if count > 2 else None


def lag(rows: WindowRows) -> Iterator[Any]:
    """Yield the value `offset` (1) rows before."""
    return _shifted(rows, -1)


def lead(rows: WindowRows) -> Iterator[Any]:
    """Yield the value `offset` (1) rows after."""
    return _shifted(rows, 1)


def first_value(rows: WindowRows) -> Iterator[Any]:
    """Yield the value at the frame's first row."""
    for row in range(len(rows)):
        frame = rows.frame(row)
        yield rows.argument(0, frame[0]) if len(frame) else None


def last_value(rows: WindowRows) -> Iterator[Any]:
    """Yield the value at the frame's last row."""
    for row in range(len(rows)):
        frame = rows.frame(row)
        yield rows.argument(0, frame[-1]) if len(frame) else None


def nth_value(rows: WindowRows) -> Iterator[Any]:
    """Yield the value at the frame's row number n, counted from 1."""
    for row in range(len(rows)):
        number = rows.argument(1, row)
        if number is not None and number <= 0:
            raise SqlError("22016", "argument of nth_value must be greater than zero")
        frame = rows.frame(row)
        known = number is not None and number <= len(frame)
        yield rows.argument(0, frame[number - 1]) if known else None


define_window("row_number", row_number)
define_window("rank()", rank)
define_window("dense_rank()", dense_rank)
define_window("percent_rank()", percent_rank)
define_window("cume_dist()", cume_dist)
define_window("ntile", ntile)
define_window("lag(anyelement) lag(anyelement,int4) lag(anycompatible,int4,anycompatible)", lag)
define_window("lead(anyelement) lead(anyelement,int4) lead(anycompatible,int4,anycompatible)", lead)
define_window("first_value", first_value)
define_window("last_value", last_value)
define_window("nth_value", nth_value)
