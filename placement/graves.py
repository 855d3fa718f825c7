"""Sessions that have ended with their processes lately, for others who may wait for them. Pure."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

GRAVE_SECONDS = 30.0  # longer than it takes others to notice by themselves: see `dsql.locks.server`


class _Grave(NamedTuple):
    cluster: str
    process_ids: tuple[int, ...]
    since: float


class Graves:
    """Of a host. Times are of a monotonic clock, in seconds."""

    def __init__(self) -> None:
        self._graves: deque[_Grave] = deque()

    def add(self, cluster: str, process_ids: tuple[int, ...], now: float) -> None:
        """A process has ended, and with it these sessions of a cluster."""
        self._forget(now)
        self._graves.append(_Grave(cluster, process_ids, now))

    def of(self, cluster: str, now: float) -> tuple[int, ...]:
        """Return the sessions of a cluster that have ended so, lately."""
        self._forget(now)
        graves = (grave.process_ids for grave in self._graves if grave.cluster == cluster)
        return tuple(process_id for process_ids in graves for process_id in process_ids)

    def _forget(self, now: float) -> None:
        while self._graves and self._graves[0].since < now - GRAVE_SECONDS:
            self._graves.popleft()
