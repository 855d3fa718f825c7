"""Watching whether the hubs of query processors turn while they have work: see `dsql.rpc.watchdog`.

Who has work is asked for a sign every LOOK_SECONDS, and gives it in a turn of its hub. An idle one is left
alone. One that hangs holds up sessions that wait for their turn in it, and those cannot leave it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from dsql.rpc.process import Condition
from dsql.rpc.watchdog import HANG_SECONDS, LOOK_SECONDS, Watchdog
from placement.worker import Worker


class Watch:
    """All query processors of an agent. `condition_of` is told a process id."""

    def __init__(self, condition_of: Callable[[int], Condition]) -> None:
        self._condition_of = condition_of
        self._watchdogs: dict[int, Watchdog] = {}  # by process id, of those that have work
        self._look_at = 0.0

    def look(self, workers: Iterable[Worker], now: float) -> list[Worker]:
        """Ask who has work for a sign, and return who has given none for too long."""
        if now < self._look_at:
            return []
        self._look_at = now + LOOK_SECONDS
        at_work = [worker for worker in workers if worker.work and worker.ready]
        known = self._watchdogs
        self._watchdogs = {w.process_id: known.get(w.process_id) or _beaten() for w in at_work}
        return [worker for worker in at_work if self._hangs(worker)]

    def _hangs(self, worker: Worker) -> bool:
        watchdog = self._watchdogs[worker.process_id]
        if watchdog.has_beaten():
            worker.ping()
            return False
        return watchdog.is_hung(self._condition_of(worker.process_id))

    def answered(self, process_id: int) -> None:
        """A query processor has given the sign."""
        watchdog = self._watchdogs.get(process_id)
        if watchdog is not None:
            watchdog.beat(1)


def _beaten() -> Watchdog:
    watchdog = Watchdog(HANG_SECONDS)
    watchdog.beat(1)
    return watchdog
