"""When a cluster's background jobs are run: at most one run per cluster at a time. No I/O.

A run works off all jobs that it finds. One that is wanted while another is under way may concern a job
that the other no longer sees, so it follows. A run that did not come to its end is repeated, be it that
its query processor was lost or told to end.
"""

from __future__ import annotations

from collections.abc import Iterator

RETRY_SECONDS = 1.0


class BackgroundRuns:
    """Clusters whose jobs are under way (or about to be), and those that want another run."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._under_way: set[str] = set()
        self._again: set[str] = set()
        self._runs: dict[int, str] = {}  # those that have begun, by number
        self._lost: dict[str, float] = {}

    def assigned(self, cluster: str, now: float) -> None:
        """A query processor joined: the cluster's first one may find an earlier agent's jobs unfinished."""
        if cluster not in self._seen:
            self._seen.add(cluster)
            if self.wanted(cluster):
                self._lost[cluster] = now + RETRY_SECONDS

    def wanted(self, cluster: str) -> bool:
        """There are new jobs: return True if a run should start now."""
        if cluster in self._under_way:
            self._again.add(cluster)
            return False
        self._under_way.add(cluster)
        return True

    def started(self, run: int, cluster: str) -> None:
        """A query processor has begun."""
        self._runs[run] = cluster

    def adopted(self, run: int, cluster: str) -> None:
        """An earlier agent's run is still under way."""
        self._under_way.add(cluster)
        self._runs[run] = cluster

    def ended(self, number: int) -> bool:
        """Something has ended: return True if it was a run, and jobs should be run again."""
        cluster = self._runs.pop(number, None)
        if cluster is None:
            return False
        if cluster in self._again:
            self._again.discard(cluster)
            return True
        self._under_way.discard(cluster)
        return False

    def lost(self, number: int, now: float) -> None:
        """Something was cut short; if it was a run of jobs, there is another one a little later."""
        cluster = self._runs.pop(number, None)
        if cluster is not None:
            self._lost[cluster] = now + RETRY_SECONDS

    def refused(self, cluster: str) -> None:
        """There was no query processor for a run: try again with the next turn."""
        self._lost[cluster] = 0.0

    def dissolved(self, cluster: str) -> None:
        """A cluster is no more, and its jobs with it."""
        for clusters in (self._seen, self._under_way, self._again):
            clusters.discard(cluster)
        self._lost.pop(cluster, None)
        self._runs = {run: name for run, name in self._runs.items() if name != cluster}

    def due(self, now: float) -> Iterator[str]:
        """Yield the clusters whose lost runs should start again now."""
        for cluster in [cluster for cluster, when in self._lost.items() if when <= now]:
            del self._lost[cluster]
            yield cluster
