"""The forks that a pool has asked for: how many are under way, and whether to ask for more. No I/O.

A fork may fail, because memory or process ids are short for a moment; get lost with its seed; or bear a
query processor that dies at once, which is no use repeating without a pause.
"""

from __future__ import annotations

from collections import deque

from placement.pool_settings import PoolSettings


class Forks:
    """See the module. Times are seconds of a monotonic clock, passed in."""

    def __init__(self, settings: PoolSettings) -> None:
        self._settings = settings
        self.under_way = 0
        self.failed_last = False
        self._news_at = 0.0
        self._short_until = float("-inf")
        self._rapid_deaths: deque[float] = deque(maxlen=settings.rapid_deaths_max)

    def asked(self, count: int, now: float) -> None:
        """So many more are asked for."""
        self.under_way += count
        self._news_at = now

    def came(self, now: float) -> None:
        """One has come."""
        self.under_way = max(0, self.under_way - 1)
        self._news_at = now
        self.failed_last = False

    def failed(self, now: float) -> None:
        """The machine has no room for one more; it is asked again a little later."""
        self.under_way = max(0, self.under_way - 1)
        self.failed_last = True
        self._short_until = now + self._settings.fork_retry_seconds

    def lost(self) -> None:
        """Those under way will not come."""
        self.under_way = 0

    def tick(self, now: float) -> None:
        """Time has passed: those that have not come for long are lost."""
        if now - self._news_at > self._settings.fork_seconds:
            self.lost()

    def died_warm(self, forked_at: float, now: float) -> None:
        """One that belonged to nobody has died."""
        if now - forked_at < self._settings.rapid_death_seconds:
            self._rapid_deaths.append(now)

    def may_ask(self, now: float) -> bool:
        """Return whether it makes sense to ask for more now."""
        return now >= self._short_until and not self._in_backoff(now)

    @property
    def room(self) -> int:
        """How many more may be under way."""
        return self._settings.forks_at_once - self.under_way

    def _in_backoff(self, now: float) -> bool:
        deaths = self._rapid_deaths
        if len(deaths) < self._settings.rapid_deaths_max:
            return False
        if now - deaths[-1] < self._settings.backoff_seconds:
            return True
        deaths.clear()
        return False
