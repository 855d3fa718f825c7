"""How many rows tables have, about, as storage last said.

Of a process, for all its sessions. What was asked a moment ago is not asked again, and who only runs what
is planned already asks nothing. A plan notes for how many rows it was made; `have_moved` tells when that
has become another matter.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from dsql.catalog.schema import Table
from dsql.encoding.keyspace import is_local_id, keyspace_range

Count = Callable[[bytes, bytes], float | None]  # of rows in a range of keys
Planned = tuple[tuple[Table, float], ...]  # tables, and the rows that they were taken to have

ROWS_UNKNOWN = 1_000.0
ROWS_MIN = 100.0  # of a table: what is empty now is filled as a rule before it is read
_ROWS_SMALL = 2_000.0  # below that any plan will do
_TIMES = 8.0
_SECONDS = 10.0
_TABLES_MAX = 10_000


def _nobody_knows(_low: bytes, _high: bytes) -> float | None:
    return None


class RowCounts:
    """Asks `count`, and remembers for some seconds what it said. `monotonic` returns seconds."""

    def __init__(
        self, count: Count = _nobody_knows, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.count = count
        self._monotonic = monotonic
        self._known: dict[int, tuple[float, float]] = {}  # by keyspace: rows, when

    def rows(self, table: Table) -> float:
        """Return how many rows a table has, about; `ROWS_UNKNOWN` if nobody knows."""
        keyspace = table.keyspace_id
        known = self._known.get(keyspace)
        now = self._monotonic()
        if known is not None and now - known[1] < _SECONDS:
            return known[0]
        found = None if is_local_id(keyspace) else self.count(*keyspace_range(keyspace))
        if found is not None:
            rows = max(found, ROWS_MIN)
        else:
            rows = known[0] if known is not None else ROWS_UNKNOWN
        if len(self._known) >= _TABLES_MAX:
            self._known.clear()
        self._known[keyspace] = rows, now
        return rows

    def have_moved(self, planned: Planned) -> bool:
        """Return whether a table has many times the rows that it was planned for, or a fraction of them."""
        return any(_differ(rows, self.rows(table)) for table, rows in planned)


def _differ(one: float, other: float) -> bool:
    low, high = sorted((one, other))
    return high > _TIMES * max(low, _ROWS_SMALL)


def planned_rows(counted: Iterable[tuple[Table, float]]) -> Planned:
    """Return each table once."""
    return tuple({table.keyspace_id: (table, rows) for table, rows in counted}.values())
