"""Which query processor serves which session on one host: decisions only, no I/O.

A query processor is forked warm (it belongs to nobody), is assigned to a cluster once, serves that
cluster's sessions one after the other, and ends after its lifetime. Idle ones of a cluster are reused
last-in-first-out, so that the caches of few stay hot and the rest can be trimmed. A session that finds no
query processor waits, in the order of arrival, for a fork or for one of its own cluster that falls idle.
How long a fork takes is the machine's affair, and so is whether it has room for one more: sessions are
patient, and what a slow or full machine cannot do now is tried again.

`QueryProcessorPool` is told what happened and answers with what to do. Sessions and query processors are
opaque integers of the caller. Times are seconds of a monotonic clock, passed in; so is chance.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from random import Random
from typing import NamedTuple

import msgspec

from dsql import limits

TOO_MANY_CONNECTIONS = "Unable to accept connection, too many open connections."
CANNOT_START = "the database system is not accepting connections"


class PoolSettings(msgspec.Struct, frozen=True):
    """How large and how old a pool may become."""

    warm: int = 4
    query_processors_max: int = 2_000
    sessions_per_cluster_max: int = limits.CONNECTIONS_MAX
    lifetime_seconds: float = float(limits.CONNECTION_SECONDS_MAX)
    lifetime_jitter: float = (
        0.2  # a fifth less at most, so that a fleet started at once does not end at once
    )
    idle_seconds: float = 60.0
    wait_seconds: float = 50.0
    forks_at_once: int = 4
    fork_seconds: float = 10.0  # if none of the forks asked for has come by then, they are lost
    fork_retry_seconds: float = 0.5  # after one that failed: memory or process ids were short
    rapid_death_seconds: float = 2.0  # a warm one that dies this young was never able to work
    rapid_deaths_max: int = 5
    backoff_seconds: float = 5.0


class Fork(NamedTuple):
    """Ask the seed for one more query processor."""


class Assign(NamedTuple):
    """Bind a warm query processor to a cluster; the session for it follows as `Serve`."""

    worker: int
    cluster: str
    lifetime_seconds: float


class Serve(NamedTuple):
    """Give a session to a query processor of its cluster."""

    worker: int
    session: int


class Retire(NamedTuple):
    """Tell a query processor to end."""

    worker: int


class Refuse(NamedTuple):
    """Tell a session's relay no."""

    session: int
    sqlstate: str
    message: str


Action = Fork | Assign | Serve | Retire | Refuse


class _Worker:
    """One query processor. `cluster` None: warm. `session` None: idle."""

    __slots__ = ("cluster", "expires_at", "forked_at", "idle_since", "session")

    def __init__(self, now: float) -> None:
        self.cluster: str | None = None
        self.session: int | None = None
        self.forked_at = now
        self.idle_since = now
        self.expires_at = float("inf")


class _Cluster:
    """One cluster's query processors: `idle` with the newest last; `alive` counts retiring ones too."""

    __slots__ = ("alive", "busy", "idle", "waiting")

    def __init__(self) -> None:
        self.idle: OrderedDict[int, None] = OrderedDict()
        self.busy = 0
        self.alive = 0
        self.waiting = 0


class QueryProcessorPool:
    """The warm pool, the pools of the clusters, and the sessions that wait."""

    def __init__(self, settings: PoolSettings, random: Random) -> None:
        self._settings = settings
        self._random = random
        self._workers: dict[int, _Worker] = {}
        self._warm: deque[int] = deque()
        self._clusters: dict[str, _Cluster] = {}
        self._waiting: OrderedDict[int, tuple[str, float]] = OrderedDict()
        self._forking = 0
        self._fork_news_at = 0.0
        self._fork_failed = False
        self._short_until = float("-inf")
        self._rapid_deaths: deque[float] = deque(maxlen=settings.rapid_deaths_max)

    # What happened

    def session_arrived(self, session: int, cluster: str, now: float) -> list[Action]:
        """A relay hands a session over."""
        pool = self._clusters.setdefault(cluster, _Cluster())
        if pool.busy + pool.waiting >= self._settings.sessions_per_cluster_max:
            return [Refuse(session, "53300", TOO_MANY_CONNECTIONS)]
        if pool.idle:
            worker, _ = pool.idle.popitem(last=True)
            return [self._serve(worker, session)]
        if self._warm:
            return [*self._take_warm(cluster, session, now), *self._refill(now)]
        self._waiting[session] = (cluster, now + self._settings.wait_seconds)
        pool.waiting += 1
        return [*self._make_room(cluster), *self._refill(now)]

    def session_withdrawn(self, session: int) -> None:
        """The relay of a waiting session went away."""
        entry = self._waiting.pop(session, None)
        if entry is not None:
            self._clusters[entry[0]].waiting -= 1
            self._forget_if_empty(entry[0])

    def forked(self, worker: int, now: float) -> list[Action]:
        """The seed delivered a query processor."""
        self._forking = max(0, self._forking - 1)
        self._fork_news_at = now
        self._fork_failed = False
        self._workers[worker] = _Worker(now)
        self._warm.append(worker)
        if self._waiting:
            session = next(iter(self._waiting))
            cluster = self._stop_waiting(session)
            return [*self._take_warm(cluster, session, now), *self._refill(now)]
        return self._refill(now)

    def fork_failed(self, now: float) -> None:
        """The machine has no room for one more; it is asked again a little later."""
        self._forking = max(0, self._forking - 1)
        self._fork_failed = True
        self._short_until = now + self._settings.fork_retry_seconds

    def fell_idle(self, worker: int, now: float) -> list[Action]:
        """A query processor's session has ended."""
        entry = self._workers.get(worker)
        if entry is None or entry.session is None or entry.cluster is None:
            return []
        entry.session = None
        entry.idle_since = now
        pool = self._clusters[entry.cluster]
        pool.busy -= 1
        if now >= entry.expires_at:
            return self._retire(worker)
        session = self._first_waiting(entry.cluster) if pool.waiting else None
        if session is not None:
            self._stop_waiting(session)
            return [self._serve(worker, session)]
        pool.idle[worker] = None
        return self._make_room(entry.cluster) if self._waiting else []

    def died(self, worker: int, now: float) -> list[Action]:
        """A query processor is gone, for whatever reason; its session, if any, went with it."""
        entry = self._workers.pop(worker, None)
        if entry is None:
            return []
        if entry.cluster is None:
            self._warm.remove(worker)
            if now - entry.forked_at < self._settings.rapid_death_seconds:
                self._rapid_deaths.append(now)
        else:
            pool = self._clusters[entry.cluster]
            pool.alive -= 1
            pool.busy -= entry.session is not None
            pool.idle.pop(worker, None)
            self._forget_if_empty(entry.cluster)
        return self._refill(now)

    def seed_lost(self) -> None:
        """The forks asked for will not come; the seed's children die with it, one by one."""
        self._forking = 0

    def tick(self, now: float) -> list[Action]:
        """Time has passed: refuse who waited too long, end the old and the idle, refill."""
        actions: list[Action] = []
        if now - self._fork_news_at > self._settings.fork_seconds:
            self._forking = 0
        for session, (_, deadline) in list(self._waiting.items()):
            if now < deadline:
                break  # the queue is in order of arrival, so of deadline
            self._stop_waiting(session)
            actions.append(self._too_late(session))
        for worker in list(self._finished(now)):
            actions += self._retire(worker)
        return actions + self._refill(now)

    # What is

    @property
    def warm(self) -> int:
        """How many query processors belong to nobody yet."""
        return len(self._warm)

    @property
    def waiting(self) -> int:
        """How many sessions wait for a query processor."""
        return len(self._waiting)

    def pools(self) -> dict[str, tuple[int, int]]:
        """Return (idle, busy) for each cluster that has query processors."""
        return {name: (len(pool.idle), pool.busy) for name, pool in self._clusters.items()}

    # Steps

    def _serve(self, worker: int, session: int) -> Serve:
        entry = self._workers[worker]
        assert entry.session is None, "a query processor serves one session at a time"
        assert entry.cluster is not None, "a query processor serves after it was assigned"
        entry.session = session
        self._clusters[entry.cluster].busy += 1
        return Serve(worker, session)

    def _take_warm(self, cluster: str, session: int, now: float) -> list[Action]:
        worker = self._warm.popleft()
        entry = self._workers[worker]
        entry.cluster = cluster
        self._clusters[cluster].alive += 1
        settings = self._settings
        lifetime = settings.lifetime_seconds * (
            1 - settings.lifetime_jitter * self._random.random()
        )
        entry.expires_at = now + lifetime
        return [Assign(worker, cluster, lifetime), self._serve(worker, session)]

    def _refill(self, now: float) -> list[Action]:
        """Fork for those who wait and up to the wanted number of warm ones."""
        if now < self._short_until or self._in_backoff(now):
            return []
        wanted = self._settings.warm + len(self._waiting) - len(self._warm) - self._forking
        room = self._settings.query_processors_max - len(self._workers) - self._forking
        count = max(0, min(wanted, room, self._settings.forks_at_once - self._forking))
        if count:
            self._forking += count
            self._fork_news_at = now
        return [Fork()] * count

    def _too_late(self, session: int) -> Refuse:
        """Refuse a session in the words of what it waited for."""
        if self._fork_failed or len(self._workers) >= self._settings.query_processors_max:
            return Refuse(session, "53300", TOO_MANY_CONNECTIONS)
        return Refuse(session, "57P03", CANNOT_START)

    def _in_backoff(self, now: float) -> bool:
        deaths = self._rapid_deaths
        if len(deaths) < self._settings.rapid_deaths_max:
            return False
        if now - deaths[-1] < self._settings.backoff_seconds:
            return True
        deaths.clear()
        return False

    def _make_room(self, for_cluster: str) -> list[Action]:
        """At the host's limit, end the longest idle query processor of another cluster."""
        if len(self._workers) + self._forking < self._settings.query_processors_max:
            return []
        idle = [
            (self._workers[worker].idle_since, worker)
            for name, pool in self._clusters.items()
            if name != for_cluster
            for worker in list(pool.idle)[:1]
        ]
        return self._retire(min(idle)[1]) if idle else []

    def _finished(self, now: float) -> Iterator[int]:
        for pool in self._clusters.values():
            for worker in pool.idle:
                entry = self._workers[worker]
                if now >= min(entry.expires_at, entry.idle_since + self._settings.idle_seconds):
                    yield worker

    def _retire(self, worker: int) -> list[Action]:
        """Take a query processor out of its cluster; `died` follows when it has gone."""
        cluster = self._workers[worker].cluster
        assert cluster is not None, "warm query processors are not retired"
        self._clusters[cluster].idle.pop(worker, None)
        return [Retire(worker)]

    def _first_waiting(self, cluster: str) -> int | None:
        return next((key for key, (name, _) in self._waiting.items() if name == cluster), None)

    def _stop_waiting(self, session: int) -> str:
        cluster, _ = self._waiting.pop(session)
        self._clusters[cluster].waiting -= 1
        return cluster

    def _forget_if_empty(self, cluster: str) -> None:
        pool = self._clusters[cluster]
        if not pool.alive and not pool.waiting:
            del self._clusters[cluster]
