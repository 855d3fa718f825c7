"""Whatever happens in whatever order, the pool keeps what it promises."""

from __future__ import annotations

from random import Random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from placement.cluster_pool import LONG_SECONDS
from placement.decisions import Action, Assign, End, Fork, Refuse, Retire, Serve, Shed
from placement.pool import QueryProcessorPool
from placement.pool_settings import PoolSettings

CLUSTERS = st.sampled_from(["a", "b", "c"])
CHOICES = st.integers(0, 1_000)
SETTINGS = PoolSettings(
    warm=2,
    query_processors_max=5,
    processes_per_cluster=2,
    sessions_per_process_max=3,
    sessions_per_cluster_max=9,
    lifetime_seconds=60.0,
    idle_seconds=15.0,
    wait_seconds=20.0,
    # No fork is given up for lost that comes later after all: forks are slow here, a second for a step.
    fork_seconds=10_000.0,
)


class Process:
    def __init__(self) -> None:
        self.cluster = ""
        self.sessions: set[int] = set()
        self.retired = False

    @property
    def is_open(self) -> bool:
        return bool(self.cluster) and not self.retired


class SimulatedHost(RuleBasedStateMachine):
    """Plays seed, relays and query processors, and checks what the pool asks for."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = QueryProcessorPool(SETTINGS, Random(1))
        self.now = 0.0
        self.forks = 0
        self.told_at = float("-inf")  # how busy somebody is
        self.processes: dict[int, Process] = {}
        self.waiting: dict[int, str] = {}
        self.parked: dict[int, str] = {}
        self.numbers = iter(range(1, 1_000_000))

    @rule(cluster=CLUSTERS)
    def session_arrives(self, cluster: str) -> None:
        session = next(self.numbers)
        self.waiting[session] = cluster
        best = self.fewest(cluster)
        actions = self.pool.session_arrived(session, cluster, self.now)
        for action in actions:
            if isinstance(action, Serve) and self.processes[action.worker].cluster == cluster:
                fewest = len(self.processes[action.worker].sessions) == best
                assert fewest or self.now - self.told_at < LONG_SECONDS
        self.apply(actions)
        if session in self.waiting:
            assert best in (None, SETTINGS.sessions_per_process_max)

    @rule(cluster=CLUSTERS)
    def jobs_arrive(self, cluster: str) -> None:
        run = next(self.numbers)
        self.waiting[run] = cluster
        self.apply(self.pool.jobs_arrived(run, cluster, self.now))

    @rule()
    def fork_arrives(self) -> None:
        if self.forks:
            self.forks -= 1
            worker = next(self.numbers)
            self.processes[worker] = Process()
            self.apply(self.pool.forked(worker, self.now))

    @rule()
    def fork_fails(self) -> None:
        if self.forks:
            self.forks -= 1
            self.pool.fork_failed(self.now)

    @rule(choice=CHOICES)
    def session_ends(self, choice: int) -> None:
        served = sorted((s, w) for w, process in self.processes.items() for s in process.sessions)
        if served:
            session, worker = served[choice % len(served)]
            self.processes[worker].sessions.remove(session)
            self.apply(self.pool.ended(worker, session, self.now))
            self.end_if_over(worker)

    @rule(choice=CHOICES)
    def session_is_parked(self, choice: int) -> None:
        served = sorted((s, w) for w, process in self.processes.items() for s in process.sessions)
        if served:
            session, worker = served[choice % len(served)]
            self.processes[worker].sessions.remove(session)
            self.parked[session] = self.processes[worker].cluster
            self.apply(self.pool.parked(worker, session, self.now))
            self.end_if_over(worker)

    @rule(choice=CHOICES)
    def session_is_woken(self, choice: int) -> None:
        if self.parked:
            session = sorted(self.parked)[choice % len(self.parked)]
            self.waiting[session] = cluster = self.parked.pop(session)
            self.apply(self.pool.session_woken(session, cluster, self.now))

    @rule(choice=CHOICES)
    def client_of_a_parked_session_goes(self, choice: int) -> None:
        if self.parked:
            session = sorted(self.parked)[choice % len(self.parked)]
            self.pool.session_left(self.parked.pop(session))

    @rule(choice=CHOICES)
    def session_moves(self, choice: int) -> None:
        served = sorted((s, w) for w, process in self.processes.items() for s in process.sessions)
        if served:
            session, worker = served[choice % len(served)]
            self.processes[worker].sessions.remove(session)
            self.waiting[session] = self.processes[worker].cluster
            self.apply(self.pool.moved(worker, session, self.now))
            self.end_if_over(worker)

    @rule(choice=CHOICES, pressure=st.floats(0, 10), long=st.booleans())
    def process_is_busy(self, choice: int, pressure: float, *, long: bool) -> None:
        if self.processes:
            self.told_at = self.now
            worker = sorted(self.processes)[choice % len(self.processes)]
            self.apply(self.pool.busy_with(worker, pressure, self.now, long=long))

    @rule(choice=CHOICES)
    def process_is_full(self, choice: int) -> None:
        assigned = sorted(worker for worker, process in self.processes.items() if process.cluster)
        if assigned:
            self.apply(self.pool.full(assigned[choice % len(assigned)], self.now))

    @rule(choice=CHOICES)
    def process_dies(self, choice: int) -> None:
        if self.processes:
            self.end(sorted(self.processes)[choice % len(self.processes)])

    @rule(choice=CHOICES)
    def session_withdraws(self, choice: int) -> None:
        if self.waiting:
            session = sorted(self.waiting)[choice % len(self.waiting)]
            self.pool.session_withdrawn(session, self.waiting.pop(session))

    @rule(seconds=st.sampled_from([0.5, 5.0, 20.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.apply(self.pool.tick(self.now))

    @rule()
    def seed_is_lost(self) -> None:
        self.forks = 0
        self.pool.seed_lost()

    @rule()
    def seed_is_replaced(self) -> None:
        self.forks = 0
        self.apply(self.pool.renewed(self.now))
        assert all(process.retired for process in self.processes.values())

    @invariant()
    def counts_agree(self) -> None:
        assert self.pool.waiting == len(self.waiting)
        assert self.pool.warm == sum(1 for p in self.processes.values() if not p.cluster)
        for cluster, load in self.pool.loads().items():
            mine = [p for p in self.processes.values() if p.cluster == cluster]
            assert load.processes == sum(1 for p in mine if not p.retired)
            assert load.ending == sum(1 for p in mine if p.retired)
            assert load.sessions == sum(len(p.sessions) for p in mine)
            assert load.parked == list(self.parked.values()).count(cluster)

    @invariant()
    def nobody_waits_beside_a_warm_process(self) -> None:
        assert not (self.pool.waiting and self.pool.warm)

    def teardown(self) -> None:
        """Whoever waits is served or refused in the end."""
        for _ in range(60):
            self.fork_arrives()
            self.time_passes(1.0)
        assert not self.waiting

    def fewest(self, cluster: str) -> int | None:
        """Return the number of sessions of the least loaded of the cluster's open processes."""
        loads = [len(p.sessions) for p in self.processes.values() if self.takes(p, cluster)]
        return min(loads, default=None)

    @staticmethod
    def takes(process: Process, cluster: str) -> bool:
        return process.is_open and process.cluster == cluster

    def apply(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Fork():
                    self.forks += 1
                    assert self.forks + len(self.processes) <= SETTINGS.query_processors_max
                case Assign(worker, cluster):
                    self.check_assignment(self.processes[worker], cluster)
                    self.processes[worker].cluster = cluster
                case Serve(worker, session):
                    process = self.processes[worker]
                    assert process.is_open
                    assert process.cluster == self.waiting.pop(session)
                    process.sessions.add(session)
                    assert len(process.sessions) <= SETTINGS.sessions_per_process_max
                case Refuse(session, _, _):
                    del self.waiting[session]
                case Shed(worker, sessions):
                    assert 0 < sessions <= len(self.processes[worker].sessions)
                case End(worker):
                    assert not self.processes.pop(worker).cluster
                case Retire(worker):
                    assert self.processes[worker].is_open
                    self.processes[worker].retired = True
        for worker in list(self.processes):
            self.end_if_over(worker)

    def check_assignment(self, process: Process, cluster: str) -> None:
        """More than so many processes only where all of them have no room."""
        assert not process.cluster
        others = [p for p in self.processes.values() if self.takes(p, cluster)]
        assert len(others) < SETTINGS.processes_per_cluster or all(
            len(p.sessions) == SETTINGS.sessions_per_process_max for p in others
        )

    def end_if_over(self, worker: int) -> None:
        process = self.processes.get(worker)
        if process is not None and process.retired and not process.sessions:
            self.end(worker)

    def end(self, worker: int) -> None:
        del self.processes[worker]
        self.apply(self.pool.died(worker, self.now))


SimulatedHost.TestCase.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)
test_every_session_is_served_once_by_its_own_cluster_or_refused = SimulatedHost.TestCase
