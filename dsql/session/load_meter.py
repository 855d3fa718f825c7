"""How busy a query processor is, measured at the ticks of the processor time that it uses.

An idle process measures nothing and has nothing to say. What counts is what the ticks find: who is ready
and waits for a turn, and whether they meet one statement again and again.
"""

from __future__ import annotations

from collections.abc import Callable

from dsql.session.control import Busy
from dsql.session.roster import Occupant

WINDOW_TICKS = 25  # between two reports: 50 to 100 ms of processor time
LONG_TICKS = 10  # a statement that so many ticks of a window meet holds up others
_WINDOW_SECONDS_MAX = 3.0  # one that took longer says nothing of now


class LoadMeter:
    """Of one process. `monotonic` and `process_time` return seconds."""

    def __init__(self, monotonic: Callable[[], float], process_time: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._process_time = process_time
        self._told_long = False
        self._measuring = False
        self._found: dict[tuple[Occupant, int], int] = {}  # ticks of each statement
        self._begin(monotonic(), process_time())

    def _begin(self, now: float, used: float) -> None:
        self._since, self._used = now, used
        self._ticks = 0
        self._ready = 0  # the sum of what each tick has found
        self._found.clear()

    def tick(self, running: Occupant | None, ready: int) -> Busy | None:
        """Take in what a tick finds: who runs, how many are ready. Return what the agent should know.

        A statement that turns out to be long is news, other things can wait for the end of the window.
        """
        if self._measuring:
            return None  # a tick in the midst of the one before
        self._measuring = True
        try:
            return self._count(running, ready)
        finally:
            self._measuring = False

    def _count(self, running: Occupant | None, ready: int) -> Busy | None:
        self._ticks += 1
        self._ready += ready
        times = 0
        if running is not None:
            key = running, running.statement
            self._found[key] = times = self._found.get(key, 0) + 1
        if self._ticks == WINDOW_TICKS or (times == LONG_TICKS and not self._told_long):
            return self._report()
        return None

    def _report(self) -> Busy | None:
        now, used, ready = self._monotonic(), self._process_time(), self._ready / self._ticks
        elapsed, share = now - self._since, used - self._used
        self._told_long = any(
            times >= LONG_TICKS and occupant.statement == statement
            for (occupant, statement), times in self._found.items()
        )
        self._begin(now, used)
        if elapsed > _WINDOW_SECONDS_MAX:
            self._told_long = False
            return None
        share_percent = min(100, int(100 * share / max(elapsed, 0.001)))
        return Busy(share_percent, int(100 * ready), long=self._told_long)
