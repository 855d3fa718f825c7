"""Which query processor serves which session on one host: decisions only, no I/O.

    forked --> warm --Assign--> a cluster's --tick: too old, full: Retire--> ending --last session--> gone
                                    |--idle for long, or room is needed: Retire--> gone

A query processor is forked warm (it belongs to nobody), is assigned to a cluster once, and serves many of
its sessions. A session goes to the one that has the least to do, of equals to that with the fewest, and
moves if that changes (`placement.balance`). A cluster gets another one as long as each that it has is in
use, it has less than `processes_per_cluster`, and there is a warm one; nobody waits for that.
Beyond that number it gets one only where all are at `sessions_per_process_max`: the limit of connections
is what clients are promised.

A session whose cluster has no query processor with room waits for a fork. What is forked then goes to the
clusters in turns, and takes all who wait for it: few of one cluster do not stand behind thousands of
another. How long a fork takes is the machine's affair, and so is whether it has room for one more:
sessions are patient, and what a slow or full machine cannot do now is tried again.

A session whose client is silent is parked: it has no query processor until it is woken, when it goes to
any that has room. It still counts as one of its cluster's connections, and is not refused for their number.

One that is ending takes no more sessions, lets those go that it has, and does not count among its
cluster's. A run of background jobs is work like a session, but no reason to have another process.

`QueryProcessorPool` is told what happened and answers with what to do. Sessions, runs and query processors
are opaque integers of the caller. Times are seconds of a monotonic clock, passed in; so is chance.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from itertools import islice
from random import Random

from placement import balance
from placement.cluster_pool import ClusterLoad, ClusterPool, Load, Member
from placement.decisions import (
    CANNOT_START,
    CLUSTER_DELETED,
    TOO_MANY_CONNECTIONS,
    Action,
    Assign,
    End,
    Fork,
    Refuse,
    Retire,
    Serve,
    Shed,
)
from placement.forks import Forks
from placement.pool_settings import PoolSettings

SHED_AT_ONCE = 100  # sessions, whose records are in the agent's memory meanwhile


class QueryProcessorPool:
    """The warm pool, the pools of the clusters, and the sessions that wait."""

    def __init__(self, settings: PoolSettings, random: Random) -> None:
        self._settings = settings
        self._random = random
        self._workers: dict[int, Member] = {}
        self._warm: deque[Member] = deque()
        self._clusters: dict[str, ClusterPool] = {}
        self._turns: OrderedDict[str, None] = OrderedDict()  # clusters with sessions that wait
        self._forks = Forks(settings)

    # What happened

    def session_arrived(self, session: int, cluster: str, now: float) -> list[Action]:
        """A relay hands a session over."""
        pool = self._clusters.get(cluster)
        most = self._settings.sessions_per_cluster_max
        if pool is not None and pool.connections >= most:
            return [Refuse(session, "53300", TOO_MANY_CONNECTIONS)]
        return self._admit(session, cluster, now, grows=True)

    def session_woken(self, session: int, cluster: str, now: float) -> list[Action]:
        """A parked session needs a query processor again."""
        pool = self._clusters[cluster]
        assert pool.parked > 0, "only parked sessions are woken"
        pool.parked -= 1
        pool.wakes += 1
        return self._admit(session, cluster, now, grows=True)

    def session_left(self, cluster: str) -> None:
        """The client of a parked session has gone."""
        pool = self._clusters[cluster]
        assert pool.parked > 0, "only parked sessions end without a query processor"
        pool.parked -= 1
        self._forget_if_empty(cluster)

    def session_returned(self, session: int, cluster: str, now: float) -> list[Action]:
        """A session that was served is not, after all: its query processor never took it up."""
        return self._admit(session, cluster, now, grows=True)

    def jobs_arrived(self, run: int, cluster: str, now: float) -> list[Action]:
        """A run of a cluster's background jobs is wanted."""
        return self._admit(run, cluster, now, grows=False)

    def session_withdrawn(self, session: int, cluster: str) -> None:
        """The relay of a session that may still wait went away."""
        pool = self._clusters.get(cluster)
        if pool is not None and pool.waiting.pop(session, None) is not None:
            self._settle_queue(cluster)

    def forked(self, worker: int, now: float) -> list[Action]:
        """The seed delivered a query processor."""
        self._forks.came(now)
        self._workers[worker] = entry = Member(worker, now)
        self._warm.append(entry)
        if not self._turns:
            return self._refill(now)
        cluster, _ = self._turns.popitem(last=False)
        actions = [
            *self._take_warm(cluster, now),
            *self._serve_waiting(entry, self._settings.sessions_per_process_max),
        ]
        return [*actions, *self._refill(now)]

    def adopted(self, worker: int, cluster: str, work: Iterable[int], now: float) -> list[Action]:
        """A query processor of an earlier agent is there, with its sessions and runs."""
        pool = self._clusters.setdefault(cluster, ClusterPool())
        self._workers[worker] = entry = Member(worker, now)
        self._join(entry, cluster, now)
        entry.work.update(work)
        pool.sessions += len(entry.work)
        room = self._settings.sessions_per_process_max - len(entry.work)
        return self._serve_waiting(entry, max(0, room)) if pool.waiting else []

    def fork_failed(self, now: float) -> None:
        """The machine has no room for one more; it is asked again a little later."""
        self._forks.failed(now)

    def ended(self, worker: int, session: int, now: float) -> list[Action]:
        """A session, or a run of jobs, is over."""
        entry = self._workers.get(worker)
        if entry is None or entry.cluster is None or session not in entry.work:
            return []
        entry.work.remove(session)
        entry.idle_since = now
        pool = self._clusters[entry.cluster]
        pool.sessions -= 1
        if pool.waiting and entry.is_open(now):
            return self._serve_waiting(entry, 1)
        return self._make_room()

    def parked(self, worker: int, session: int, now: float) -> list[Action]:
        """A session has given its place up until its client says something. It counts as a connection."""
        entry = self._workers.get(worker)
        if entry is not None and entry.cluster is not None and session in entry.work:
            pool = self._clusters[entry.cluster]
            pool.parked += 1
            pool.parkings += 1
        return self.ended(worker, session, now)

    def found(self, cluster: str) -> None:
        """A session that an earlier agent has parked is parked here now."""
        self._clusters.setdefault(cluster, ClusterPool()).parked += 1

    def moved(self, worker: int, session: int, now: float) -> list[Action]:
        """A session has left a query processor to go on in another one of the cluster."""
        entry = self._workers.get(worker)
        if entry is None or entry.cluster is None or session not in entry.work:
            return []
        self._clusters[entry.cluster].moves += 1
        actions = self.ended(worker, session, now)
        return [*actions, *self._admit(session, entry.cluster, now, grows=True, apart_from=entry)]

    def busy_with(self, worker: int, pressure: float, now: float, *, long: bool) -> list[Action]:
        """A query processor says what it has to do: see `Load`. `long`: a statement computes for long."""
        entry = self._workers.get(worker)
        if entry is None or entry.cluster is None:
            return []
        entry.load = Load(pressure, now)
        if long:
            entry.long_at = now
        return self._even_out(entry, now)

    def _even_out(self, entry: Member, now: float) -> list[Action]:
        """Have sessions leave if others have less to do than this one."""
        assert entry.cluster is not None, "warm ones have nothing to do"
        pool = self._clusters[entry.cluster]
        opened = pool.open_workers(now)
        actions: list[Action] = []
        if balance.all_loaded(opened, now) and self._warm and self._may_grow(len(opened)):
            actions = [*self._take_warm(entry.cluster, now), *self._refill(now)]
            opened = pool.open_workers(now)
        count = 0 if pool.waiting else balance.others_of_long(entry, opened, now)
        uneven = (entry, count) if count else balance.uneven(pool, opened, now)
        if uneven is not None:
            pool.evened_at = now
            actions.append(self._shed(*uneven, now))
        return actions

    def _shed(self, entry: Member, count: int, now: float) -> Shed:
        assert entry.cluster is not None, "who serves nobody has nobody to let go"
        entry.shed_at = now
        self._clusters[entry.cluster].sheds += 1
        return Shed(entry.number, min(count, SHED_AT_ONCE))

    def full(self, worker: int, now: float) -> list[Action]:
        """A query processor has grown large: its sessions go on elsewhere, and it ends."""
        entry = self._workers.get(worker)
        if entry is None or entry.cluster is None or entry.ending:
            return []
        return [self._retire(entry), *self._empty(entry, now)]

    def hangs(self, worker: int) -> None:
        """A query processor is about to be killed: it gets no sessions, nor back those that it lets go."""
        entry = self._workers.get(worker)
        if entry is not None and entry.cluster is not None:
            entry.ending = True

    def dissolved(self, cluster: str) -> list[Action]:
        """A cluster is no more: nobody waits for it or is parked, and its query processors end."""
        pool = self._clusters[cluster]
        actions: list[Action] = [
            Refuse(session, "57P01", CLUSTER_DELETED) for session in pool.waiting
        ]
        actions += [self._retire(entry) for entry in pool.workers.values() if not entry.ending]
        pool.waiting.clear()
        pool.parked = 0
        self._settle_queue(cluster)
        return actions

    def renewed(self, now: float) -> list[Action]:
        """Another seed has come, whose query processors are to replace all that there are."""
        actions: list[Action] = []
        for entry in self._warm:
            del self._workers[entry.number]
            actions.append(End(entry.number))
        self._warm.clear()
        self._forks.lost()
        for pool in self._clusters.values():
            actions += [self._retire(old) for old in pool.workers.values() if not old.ending]
        return [*actions, *self._refill(now)]  # the next tick has their sessions leave

    def _empty(self, entry: Member, now: float) -> list[Action]:
        """Have the sessions of one that ends leave, if there is somewhere to go."""
        assert entry.cluster is not None, "warm ones are empty"
        pool = self._clusters[entry.cluster]
        if not entry.work or pool.waiting or not (self._warm or pool.open_workers(now)):
            return []
        return [self._shed(entry, len(entry.work), now)]

    def died(self, worker: int, now: float) -> list[Action]:
        """A query processor is gone, for whatever reason; its sessions, if any, went with it."""
        entry = self._workers.pop(worker, None)
        if entry is None:
            return []
        if entry.cluster is None:
            self._warm.remove(entry)
            self._forks.died_warm(entry.forked_at, now)
        else:
            pool = self._clusters[entry.cluster]
            pool.sessions -= len(entry.work)
            del pool.workers[worker]
            self._forget_if_empty(entry.cluster)
        return self._refill(now)

    def seed_lost(self) -> None:
        """The forks asked for will not come; the seed's children die with it, one by one."""
        self._forks.lost()

    def tick(self, now: float) -> list[Action]:
        """Time has passed: refuse who waited too long, end the old and the idle, refill."""
        self._forks.tick(now)
        actions: list[Action] = [self._too_late(session) for session in self._overdue(now)]
        actions += [self._retire(entry) for entry in list(self._finished(now))]
        for pool in self._clusters.values():
            actions += self._look_after(pool, now)
        return actions + self._refill(now)

    def _look_after(self, pool: ClusterPool, now: float) -> list[Action]:
        """Ask once more who should have let all sessions go, and compare the others."""
        actions: list[Action] = []
        for entry in pool.workers.values():
            if entry.ending:
                actions += self._empty(entry, now)
        uneven = balance.uneven(pool, pool.open_workers(now), now)
        if uneven is not None:
            pool.evened_at = now
            actions.append(self._shed(*uneven, now))
        return actions

    # What is

    @property
    def warm(self) -> int:
        """How many query processors belong to nobody yet."""
        return len(self._warm)

    @property
    def waiting(self) -> int:
        """How many sessions wait for a query processor."""
        return sum(len(self._clusters[cluster].waiting) for cluster in self._turns)

    @property
    def busy(self) -> int:
        """How many query processors serve somebody. The others would give way."""
        return sum(1 for entry in self._workers.values() if entry.work)

    def loads(self) -> dict[str, ClusterLoad]:
        """Return how each cluster stands that has query processors or waits for one."""
        return {name: pool.load for name, pool in self._clusters.items()}

    # Steps

    def _admit(
        self,
        session: int,
        cluster: str,
        now: float,
        *,
        grows: bool,
        apart_from: Member | None = None,
    ) -> list[Action]:
        """Give a session to a query processor, if there is another one not to `apart_from`."""
        pool = self._clusters.setdefault(cluster, ClusterPool())
        opened = pool.open_workers(now)
        others = [entry for entry in opened if entry is not apart_from]
        best = self._least_loaded(others, now) or self._least_loaded(opened, now)
        wanted = best is None or (grows and bool(best.work) and self._may_grow(len(opened)))
        if wanted and self._warm:
            best = self._warm[0]
            actions = self._take_warm(cluster, now)
            return [*actions, self._serve(best, session), *self._refill(now)]
        if best is not None:
            # The next one should find a warm one, also where none are kept.
            return [self._serve(best, session), *self._refill(now, spare=int(wanted))]
        pool.waiting[session] = now + self._settings.wait_seconds
        self._turns.setdefault(cluster)
        return [*self._make_room(), *self._refill(now)]

    def _least_loaded(self, opened: list[Member], now: float) -> Member | None:
        """Return the one with room that has the least to do, of equals the one with the fewest sessions.

        Of idle ones it is the last used, whose caches are hot.
        """
        most = self._settings.sessions_per_process_max
        return min(
            (entry for entry in opened if len(entry.work) < most),
            key=lambda entry: (
                entry.computes_long(now),
                round(entry.pressure(now)),
                len(entry.work),
                -entry.idle_since,
            ),
            default=None,
        )

    def _may_grow(self, processes: int) -> bool:
        """The last warm ones of a full host are for clusters that have none at all."""
        settings = self._settings
        full = len(self._workers) + self._forks.under_way >= settings.query_processors_max
        return processes < settings.processes_per_cluster and not full

    def _serve(self, entry: Member, session: int) -> Serve:
        assert entry.cluster is not None, "a query processor serves after it was assigned"
        assert not entry.ending, "who ends takes no more sessions"
        assert len(entry.work) < self._settings.sessions_per_process_max, "each has its limit"
        entry.work.add(session)
        self._clusters[entry.cluster].sessions += 1
        return Serve(entry.number, session)

    def _serve_waiting(self, entry: Member, count: int) -> list[Action]:
        """Give a query processor the first of those who wait for its cluster."""
        assert entry.cluster is not None, "see _serve"
        waiting = self._clusters[entry.cluster].waiting
        sessions = list(islice(waiting, count))
        for session in sessions:
            del waiting[session]
        served: list[Action] = [self._serve(entry, session) for session in sessions]
        self._settle_queue(entry.cluster)
        return served

    def _take_warm(self, cluster: str, now: float) -> list[Action]:
        """Make the oldest warm one the cluster's."""
        entry = self._warm.popleft()
        self._join(entry, cluster, now)
        return [Assign(entry.number, cluster)]

    def _join(self, entry: Member, cluster: str, now: float) -> None:
        """Make a query processor the cluster's."""
        entry.cluster = cluster
        entry.idle_since = now
        self._clusters[cluster].workers[entry.number] = entry
        settings = self._settings
        lifetime = settings.lifetime_seconds * (
            1 - settings.lifetime_jitter * self._random.random()
        )
        entry.expires_at = now + lifetime

    def _refill(self, now: float, spare: int = 0) -> list[Action]:
        """Fork for those who wait, and up to the wanted number of warm ones, `spare` at least."""
        if not self._forks.may_ask(now):
            return []
        warm = max(self._settings.warm, spare)
        wanted = warm + self._needed() - len(self._warm) - self._forks.under_way
        room = self._settings.query_processors_max - len(self._workers) - self._forks.under_way
        count = max(0, min(wanted, room, self._forks.room))
        if count:
            self._forks.asked(count, now)
        return [Fork()] * count

    def _needed(self) -> int:
        """Return how many query processors would take all who wait."""
        most = self._settings.sessions_per_process_max
        return sum(-(-len(self._clusters[cluster].waiting) // most) for cluster in self._turns)

    def _overdue(self, now: float) -> list[int]:
        """Take those out of the queues who have waited too long."""
        overdue: list[int] = []
        for cluster in list(self._turns):
            waiting = self._clusters[cluster].waiting
            while waiting and now >= next(iter(waiting.values())):  # in order of arrival
                overdue.append(waiting.popitem(last=False)[0])
            self._settle_queue(cluster)
        return overdue

    def _too_late(self, session: int) -> Refuse:
        """Refuse a session in the words of what it waited for."""
        if self._forks.failed_last or len(self._workers) >= self._settings.query_processors_max:
            return Refuse(session, "53300", TOO_MANY_CONNECTIONS)
        return Refuse(session, "57P03", CANNOT_START)

    def _make_room(self) -> list[Action]:
        """At the host's limit, end an idle query processor for a cluster that waits for one.

        The longest idle one goes, and a cluster's last one only if no cluster has one to spare.
        """
        if not self._turns:
            return []
        if len(self._workers) + self._forks.under_way < self._settings.query_processors_max:
            return []
        leaving = sum(1 for entry in self._workers.values() if entry.ending and not entry.work)
        if self._needed() <= self._forks.under_way + leaving:
            return []
        idle = [
            (pool.load.processes == 1, entry.idle_since, entry.number)
            for pool in self._clusters.values()
            for entry in pool.workers.values()
            if not entry.work and not entry.ending
        ]
        return [self._retire(self._workers[min(idle)[2]])] if idle else []

    def _finished(self, now: float) -> Iterator[Member]:
        """Yield the too old, and the idle ones: a cluster's last one after all others."""
        since = now - self._settings.idle_seconds
        for pool in self._clusters.values():
            opened = pool.open_workers(now)
            yield from (
                entry
                for entry in pool.workers.values()
                if not entry.ending and now >= entry.expires_at
            )
            idle = [entry for entry in opened if not entry.work and entry.idle_since <= since]
            idle.sort(key=lambda entry: entry.idle_since)
            yield from idle[: max(1, len(opened) - 1)]

    def _retire(self, entry: Member) -> Retire:
        """Give a query processor no more sessions; `died` follows when the last of them has ended."""
        assert entry.cluster is not None, "warm query processors are not retired"
        assert not entry.ending, "once is enough"
        entry.ending = True
        return Retire(entry.number)

    def _settle_queue(self, cluster: str) -> None:
        """Give a cluster, if anybody still waits for it, its turn after all others."""
        if not self._clusters[cluster].waiting:
            self._turns.pop(cluster, None)
            self._forget_if_empty(cluster)
        else:
            self._turns.setdefault(cluster)

    def _forget_if_empty(self, cluster: str) -> None:
        if self._clusters[cluster].is_empty:
            del self._clusters[cluster]
