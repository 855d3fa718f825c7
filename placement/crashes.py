"""Query processors that have crashed, perhaps by what they read: their clusters' replicas are looked at."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable
from functools import partial

from placement.worker import Worker

_SIGNALS = {signal.SIGABRT, signal.SIGBUS, signal.SIGSEGV}  # what LMDB makes of a damaged page


class Crashes:
    """Waits for the news of how each lost process has ended. `report` is told the cluster of a crash.

    Where nobody tells how it was, it is taken for a crash.
    """

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report = report
        self._lost: dict[int, str] = {}  # clusters of processes whose end the seed has not told
        self._orphans: set[int] = set()  # processes of an earlier seed: nobody tells how they end

    def lost(self, worker: Worker) -> None:
        """A query processor is gone."""
        if worker.cluster is None:
            return
        if worker.process_id in self._orphans:
            self._orphans.remove(worker.process_id)
            worker.at_end(partial(self._report, worker.cluster))
        else:
            self._lost[worker.process_id] = worker.cluster

    def died(self, process_id: int, status: int) -> None:
        """The seed tells how one has ended: negative is a signal."""
        cluster = self._lost.pop(process_id, None)
        if cluster is not None and -status in _SIGNALS:
            self._report(cluster)

    def seed_lost(self, processes: Iterable[int]) -> None:
        """Nobody will tell any more how these end, nor how the lost ones have."""
        for cluster in self._lost.values():
            self._report(cluster)
        self._lost.clear()
        self._orphans = set(processes)
