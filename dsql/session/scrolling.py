"""A cursor's place among its rows, and how FETCH and MOVE change it.

The rules are PostgreSQL's (PortalRunSelect and DoPortalRunFetch in pquery.c). A cursor stands before the
first row, on one, or behind the last. One that scrolls keeps all rows it has had, on its statement's
account and beyond that in temporary space; one that does not hands them on and forgets them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, Protocol

from dsql.errors import SqlError
from dsql.executor.memory import StatementMemory
from dsql.executor.spill import Rows

Row = tuple[Any, ...]
_PIECE_ROWS = 1_000  # of what is read backwards at a time


class Source(Protocol):
    """Where the rows come from."""

    def __call__(self, count: int | None) -> Rows:
        """Return the next rows, fewer at the end; all that are left for None."""
        ...


class Fetched(NamedTuple):
    """What a FETCH has found."""

    length: int
    rows: Iterable[Row]


_NOTHING = Fetched(0, ())


class Scroll:
    """See the module. `memory` is called for the account of what is kept."""

    def __init__(
        self, source: Source, memory: Callable[[], StatementMemory], *, scrolls: bool
    ) -> None:
        self._source = source
        self._memory = memory
        self._kept = Rows(memory()) if scrolls else None
        self._place = 0  # rows up to the one that it stands on; behind the last, all of them
        self._at_start, self._at_end = True, False

    @property
    def on_row(self) -> bool:
        """Whether it stands on a row."""
        return not (self._at_start or self._at_end)

    def forward(self, count: int | None) -> Fetched:
        """Go so many rows ahead, to the end for None."""
        if self._at_end or count == 0:
            return _NOTHING
        found = self._next(count)
        self._at_start = self._at_start and not found.length
        self._place += found.length
        self._at_end = count is None or found.length < count
        return found

    def _next(self, count: int | None) -> Fetched:
        kept, place = self._kept, self._place
        if kept is None:
            rows = self._source(count)
            return Fetched(len(rows), rows)
        wanted = None if count is None else place + count
        if wanted is None or wanted > len(kept):
            kept = self._keep(kept, None if wanted is None else wanted - len(kept))
        end = len(kept) if wanted is None else min(wanted, len(kept))
        return Fetched(end - place, kept.between(place, end))

    def _keep(self, kept: Rows, count: int | None) -> Rows:
        """Append the next rows to what is kept, and return that."""
        rows = self._source(count)
        if not kept:
            self._kept = kept = rows
        else:
            for row in rows:
                kept.add(row)
        return kept

    def backward(self, count: int | None) -> Fetched:
        """Go so many rows back, to the start for None. Raises SqlError 55000 if it does not scroll."""
        kept = self._scrollable()
        if self._at_start or count == 0:
            return _NOTHING
        before = self._place if self._at_end else self._place - 1
        found = before if count is None else min(count, before)
        self._at_end = self._at_end and not found
        if count is None or found < count:
            self._at_start, self._place = True, 0
        else:
            self._place = before - found + 1
        return Fetched(found, _reversed(kept, before - found, before))

    def rewind(self) -> None:
        """Go before the first row. Raises SqlError 55000 if it does not scroll and has moved."""
        if not self._at_start or self._at_end:
            self._scrollable()
            self._at_start, self._at_end, self._place = True, False, 0

    def _scrollable(self) -> Rows:
        if self._kept is None:
            hint = "Declare it with SCROLL option to enable backward scan."
            raise SqlError("55000", "cursor can only scan forward", hint=hint)
        return self._kept

    def again(self) -> Fetched:
        """Return the row that it stands on."""
        if not self.on_row:
            return _NOTHING
        self.backward(1)
        return self.forward(1)

    def absolute(self, number: int) -> Fetched:
        """Go to a row by its number, from the end if that is negative."""
        if number < 0:
            self.forward(None)
            self.backward(-number - 1)
            return self.backward(1)
        if number == 0:
            self.rewind()
            return _NOTHING
        if number - 1 <= self._place // 2:
            self.rewind()
            self.forward(number - 1)
        else:
            place = self._place + self._at_end
            if number <= place:
                self.backward(place - number + 1)
            else:
                self.forward(number - place - 1)
        return self.forward(1)

    def relative(self, distance: int) -> Fetched:
        """Go to the row so far ahead, or back."""
        if distance > 0:
            self.forward(distance - 1)
            return self.forward(1)
        if distance < 0:
            self.backward(-distance - 1)
            return self.backward(1)
        return self.again()

    def to_start(self) -> Fetched:
        """Go before the first row, passing over those in between."""
        passed = self._place if self._at_end else max(self._place - 1, 0)
        self.rewind()
        return Fetched(passed, ())

    def finish(self) -> None:
        """Read all rows that are left, so that they are there when their transaction is not any more."""
        if self._kept is not None:
            self._keep(self._kept, None)
            self._source = lambda _count: Rows(self._memory())
        else:
            left = iter(self._source(None))
            self._source = lambda count: _taken(left, count, Rows(self._memory()))


def _taken(rows: Iterator[Row], count: int | None, taken: Rows) -> Rows:
    for row in rows:
        taken.add(row)
        if len(taken) == count:
            break
    return taken


def _reversed(rows: Rows, start: int, end: int) -> Iterator[Row]:
    while end > start:
        first = max(start, end - _PIECE_ROWS)
        yield from reversed(list(rows.between(first, end)))
        end = first
