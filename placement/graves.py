"""Sessions that have ended with their processes lately: others of the cluster learn of it.

Somebody may wait for what they had: see `dsql.locks.server`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

from placement.starting import Starts
from placement.worker import Worker

GRAVE_SECONDS = 30.0  # longer than it takes others to notice by themselves


class _Grave(NamedTuple):
    cluster: str
    process_ids: tuple[int, ...]
    since: float


class Graves:
    """Of a host. `workers` are its query processors, by process id, kept up to date by others."""

    def __init__(
        self, workers: Mapping[int, Worker], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._workers = workers
        self._monotonic = monotonic
        self._graves: deque[_Grave] = deque()

    def lost(self, worker: Worker, starting: Starts) -> None:
        """A query processor is lost. What it has not taken up yet, by number, lives on elsewhere."""
        work = worker.work.items()
        gone = tuple(keys.process_key for one, keys in work if keys and one not in starting)
        if worker.cluster is not None and gone:
            worker.at_end(partial(self._tell, worker.cluster, gone))

    def assigned(self, worker: Worker, cluster: str) -> None:
        """A query processor is the cluster's from now on: tell it who has died lately."""
        self._forget()
        graves = (grave.process_ids for grave in self._graves if grave.cluster == cluster)
        gone = tuple(process_id for process_ids in graves for process_id in process_ids)
        if gone:
            worker.mourn(gone)

    def _tell(self, cluster: str, process_ids: tuple[int, ...]) -> None:
        """Nothing is left of a process that had these sessions."""
        self._forget()
        self._graves.append(_Grave(cluster, process_ids, self._monotonic()))
        for worker in self._workers.values():
            if worker.cluster == cluster:
                worker.mourn(process_ids)

    def _forget(self) -> None:
        while self._graves and self._graves[0].since < self._monotonic() - GRAVE_SECONDS:
            self._graves.popleft()
