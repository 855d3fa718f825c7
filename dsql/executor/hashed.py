"""A set of rows that answers IN (subquery) with three values.

A row with NULLs in it may be equal to any that has the same values where neither is NULL. So rows are kept
by the places where they have values, and for the places that a row to be looked up shares with them there
is a set of what they have there, made when it is first asked for: no lookup goes through all rows.
"""

from __future__ import annotations

from typing import Any

from dsql.executor.key_set import KeySet
from dsql.executor.memory import StatementMemory

Row = tuple[Any, ...]
Places = tuple[int, ...]


class HashedRows(KeySet):
    """Rows to be looked up; those with NULLs are kept apart."""

    __slots__ = ("_parts", "_projected")

    def __init__(self, memory: StatementMemory) -> None:
        super().__init__(memory)
        self._parts: dict[
            Places, KeySet
        ] = {}  # of rows with NULLs: their values, by where these are
        self._projected: dict[tuple[Places, Places], KeySet] = {}

    def add_partial(self, row: Row) -> None:
        """Add a row with a NULL in it."""
        places = _places(row)
        if places not in self._parts:
            self._parts[places] = KeySet(self._memory)
        self._parts[places].add(tuple(row[place] for place in places))

    def has(self, row: Row) -> bool:
        """Return whether `row` is certainly among the rows: a NULL is equal to nothing."""
        return row in self.recent or (bool(self.older) and self.has_written(row))

    def find(self, row: Row) -> bool | None:
        """Return whether `row` is among the rows; None if only NULLs leave that open."""
        if None not in row:
            if row in self.recent or (self.older and self.has_written(row)):
                return True
            if not self._parts:
                return False
        places = _places(row)
        groups = [*self._parts.items()]
        if len(places) < len(row):
            groups.append((tuple(range(len(row))), self))
        return None if any(self._may_have(*group, places, row) for group in groups) else False

    def _may_have(self, known: Places, rows: KeySet, places: Places, row: Row) -> bool:
        """Return whether one of `rows`, which have values at `known`, has those of `row` at `places`."""
        shared = tuple(place for place in known if place in places)
        if not shared:
            return bool(rows)
        if shared != known:
            rows = self._on(rows, known, shared)
        return tuple(row[place] for place in shared) in rows

    def _on(self, rows: KeySet, known: Places, shared: Places) -> KeySet:
        """Return what rows with values at `known` have at some of these places."""
        found = self._projected.get((known, shared))
        if found is None:
            found = self._projected[known, shared] = KeySet(self._memory)
            chosen = [known.index(place) for place in shared]
            for values in rows:
                found.add(tuple(values[number] for number in chosen))
        return found


def _places(row: Row) -> Places:
    """Return where a row has values."""
    return tuple(place for place, value in enumerate(row) if value is not None)
