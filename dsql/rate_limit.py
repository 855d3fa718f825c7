"""How fast something may happen: one token bucket per cluster, or per source of connections.

A bucket holds up to `burst` tokens and gets `rate` new ones a second; an event takes one. It is kept as
the one moment at which it would be full again, so a name that nobody uses costs nothing.
"""

from __future__ import annotations

_ROUNDING_SECONDS = 1e-6
BUCKETS_MAX = 100_000


class RateLimit:
    """The buckets by name; a rate of 0 is no limit. Times are in seconds on any monotonic clock.

    A flood of names cannot fill the memory: at BUCKETS_MAX all begin anew.
    """

    def __init__(self, rate: float, burst: int) -> None:
        self._seconds_per_token = 1.0 / rate if rate else 0.0
        self._burst_seconds = burst / rate if rate else float("inf")
        self._full_at: dict[str, float] = {}

    def take(self, name: str, now: float, count: int = 1) -> int:
        """Take up to `count` tokens; return how many the bucket of this name had, 0 if it is empty."""
        if not self._seconds_per_token:
            return count
        full_at = max(self._full_at.get(name, now), now)
        room = self._burst_seconds + _ROUNDING_SECONDS - (full_at - now)
        taken = min(count, int(room / self._seconds_per_token))
        if taken <= 0:
            return 0
        if len(self._full_at) >= BUCKETS_MAX:
            self._full_at.clear()
        self._full_at[name] = full_at + taken * self._seconds_per_token
        return taken

    def give_back(self, name: str, count: int) -> None:
        """Return tokens that were taken for nothing."""
        if name in self._full_at:
            self._full_at[name] -= count * self._seconds_per_token

    def forget_full(self, now: float) -> None:
        """Drop the buckets that are full again, which are like new ones."""
        self._full_at = {name: moment for name, moment in self._full_at.items() if moment > now}
