"""Which columns of the queries around it a bound query reads: what makes it LATERAL or correlated."""

from __future__ import annotations

from typing import NamedTuple

from dsql.sql.bound import ColumnRef
from dsql.sql.bound_query import Query
from dsql.sql.walk import children


class Reference(NamedTuple):
    """A column of an enclosing query; `levels` 0 is the one right around."""

    levels: int
    entry: int
    column: int


class References:
    """Answers for every query of a statement, looking into each of them once."""

    def __init__(self) -> None:
        self._known: dict[Query, frozenset[Reference]] = {}

    def of(self, query: Query) -> frozenset[Reference]:
        """Return what a query and the queries inside it read of those around it."""
        found = self._known.get(query)
        if found is None:
            found = self._known[query] = frozenset(self._read(query))
        return found

    def _read(self, query: Query) -> set[Reference]:
        found: set[Reference] = set()
        waiting = list(children(query))
        while waiting:
            node = waiting.pop()
            if isinstance(node, Query):
                found.update(
                    Reference(levels - 1, entry, column)
                    for levels, entry, column in self.of(node)
                    if levels
                )
            elif not isinstance(node, ColumnRef):
                waiting += children(node)
            elif node.levels_up:
                found.add(Reference(node.levels_up - 1, node.entry, node.column))
        return found
