"""Whether another zone's adjudicator still turns, judged by its beats. Free of I/O.

A process that dies is known by its sentinels (`dsql.rpc.process`), at once, or by the end of its
connections. One that hangs is known by its silence: each beat says when the next one is due, and
SILENT_BEATS times that without one makes it suspect. What is counted is not the time that has passed but
the time in which we looked and it could have beaten:

- A look counts for one interval at most, however long ago the last one was: then we stood still ourselves.
- Time in which it waited for a processor does not count, nor does that in which a debugger holds it.
- Time in which it computes, or waits for a disk, counts little: a large transaction is no failure, and
  neither is a disk that everybody waits for. A loop that never comes back is found all the same, later.
- Time in which it sleeps counts half: it may wait for another of its threads, which waits for a processor.
- Time in which it is stopped by a signal counts twice: nothing else can be the reason, and it does nothing.

So a busy machine raises no alarm, and a stopped leader is noticed in a tenth of a second. An alarm that is
false costs an election and harms nothing else: who leads is decided by the journal alone.
"""

from __future__ import annotations

from dsql.rpc.process import Condition

BEAT_SECONDS = 0.025  # of a process that leads an active cluster, or is asked for it
REST_SECONDS = 1.0  # of all others
SILENT_BEATS = 4
_BUSY_WEIGHT = 0.1  # computing
_WEIGHTS = {"T": 2.0, "t": 0.0, "D": _BUSY_WEIGHT}  # by proc(5)'s states
_ASLEEP_WEIGHT = 0.5


class FailureDetector:
    """One process. Alive until it has been silent for too long, and again with its next beat."""

    def __init__(self) -> None:
        self._within = REST_SECONDS
        self._silent = 0.0
        self._known = Condition("S", 0.0, 0.0)

    @property
    def interval(self) -> float:
        """How often to look, in seconds."""
        return self._within

    @property
    def is_suspect(self) -> bool:
        """True if it is taken for hung."""
        return self._silent >= SILENT_BEATS * self._within

    def beat(self, within: float) -> None:
        """It has beaten, and will again within so many seconds."""
        self._within = min(max(within, BEAT_SECONDS), REST_SECONDS)
        self._silent = 0.0

    def doubt(self) -> None:
        """It was asked to beat now."""
        if self._within > BEAT_SECONDS:
            self._within, self._silent = BEAT_SECONDS, 0.0

    def look(self, elapsed: float, condition: Condition) -> None:
        """Count the time since the last look, in the light of what it has done meanwhile."""
        ran = condition.ran_seconds - self._known.ran_seconds
        waited = condition.waited_seconds - self._known.waited_seconds
        self._known = condition
        idle = max(0.0, min(elapsed, self._within) - max(0.0, waited))
        busy = min(max(0.0, ran), idle)
        weight = _WEIGHTS.get(condition.state, _ASLEEP_WEIGHT)
        self._silent += busy * _BUSY_WEIGHT + (idle - busy) * weight
