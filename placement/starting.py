"""Sessions that a query processor was given and has not taken up yet. No I/O.

Until it says `Started` they can be given to another one: it may have died, or hang.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from placement.pending import Pending
from placement.worker import Worker


class _Start(NamedTuple):
    pending: Pending
    worker: Worker
    since: float


class Starts:
    """Those under way, by number, in the order in which they began."""

    def __init__(self) -> None:
        self._starts: dict[int, _Start] = {}

    def __len__(self) -> int:
        return len(self._starts)

    def __contains__(self, number: int) -> bool:
        """Return whether a session is under way."""
        return number in self._starts

    def begin(self, number: int, pending: Pending, worker: Worker, now: float) -> None:
        """A query processor is given a session."""
        self._starts[number] = _Start(pending, worker, now)

    def end(self, number: int) -> Pending | None:
        """Return what was begun and is not under way any more, whatever came of it; None: it was not."""
        start = self._starts.pop(number, None)
        return None if start is None else start.pending

    def hanging(self, now: float) -> Iterator[Worker]:
        """Yield the query processors that should have taken up what they were given."""
        found: set[Worker] = set()
        for start in self._starts.values():
            if start.worker.hangs(start.since, now, start.pending.start_seconds):
                found.add(start.worker)
        yield from found
