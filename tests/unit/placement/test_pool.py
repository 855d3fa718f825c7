from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from placement.pool import (
    CANNOT_START,
    TOO_MANY_CONNECTIONS,
    Action,
    Assign,
    Fork,
    PoolSettings,
    QueryProcessorPool,
    Refuse,
    Retire,
    Serve,
)


def make_pool(**overrides: float) -> QueryProcessorPool:
    values = {"warm": 1, "lifetime_jitter": 0.0, **overrides}
    return QueryProcessorPool(PoolSettings(**values), Random(1))  # type: ignore[arg-type]


def test_pool_forks_up_to_its_warm_size() -> None:
    pool = make_pool(warm=3)
    assert pool.tick(0) == [Fork(), Fork(), Fork()]
    assert pool.tick(1) == []


def test_session_takes_a_warm_query_processor_and_its_place_is_refilled() -> None:
    pool = make_pool()
    pool.tick(0)
    pool.forked(10, 0)
    lifetime = PoolSettings().lifetime_seconds
    assert pool.session_arrived(1, "c", 1) == [Assign(10, "c", lifetime), Serve(10, 1), Fork()]


def test_session_without_query_processor_waits_for_the_next_fork() -> None:
    pool = make_pool(warm=0)
    assert pool.session_arrived(1, "c", 0) == [Fork()]
    assert pool.waiting == 1
    assert pool.forked(10, 0.1)[1] == Serve(10, 1)
    assert pool.waiting == 0


def test_idle_query_processors_are_reused_last_in_first_out() -> None:
    pool = with_busy(make_pool(warm=0), {10: "c", 11: "c"})
    pool.fell_idle(10, 1)
    pool.fell_idle(11, 2)
    assert pool.session_arrived(9, "c", 3) == [Serve(11, 9)]


def test_idle_query_processor_never_serves_another_cluster() -> None:
    pool = with_busy(make_pool(warm=0), {10: "c"})
    pool.fell_idle(10, 1)
    assert pool.session_arrived(9, "d", 2) == [Fork()]


def test_query_processor_that_falls_idle_takes_the_session_that_waits_for_its_cluster() -> None:
    pool = with_busy(make_pool(warm=0, query_processors_max=1), {10: "c"})
    assert pool.session_arrived(7, "d", 1) == []
    assert pool.session_arrived(8, "c", 1) == []
    assert pool.fell_idle(10, 2) == [Serve(10, 8)]


def test_at_the_hosts_limit_an_idle_stranger_makes_room() -> None:
    pool = with_busy(make_pool(warm=0, query_processors_max=1), {10: "c"})
    pool.fell_idle(10, 1)
    assert pool.session_arrived(8, "d", 2) == [Retire(10)]
    assert pool.died(10, 3) == [Fork()]
    assert pool.forked(11, 4)[1] == Serve(11, 8)


def test_connections_above_the_limit_are_refused() -> None:
    pool = with_busy(make_pool(warm=0, sessions_per_cluster_max=1), {10: "c"})
    assert pool.session_arrived(5, "c", 1) == [Refuse(5, "53300", TOO_MANY_CONNECTIONS)]


def test_session_that_waited_too_long_is_refused() -> None:
    pool = make_pool(warm=0, wait_seconds=5)
    pool.session_arrived(1, "c", 0)
    assert pool.tick(4.9) == []
    assert Refuse(1, "57P03", CANNOT_START) in pool.tick(5)
    assert pool.waiting == 0


def test_sessions_wait_for_a_slow_machine_and_all_are_served() -> None:
    """Twenty-four wait at a time; each fork takes a second, which would be 5 s for most of them."""
    pool = make_pool(warm=0)
    forks = [action for session in range(24) for action in pool.session_arrived(session, "c", 0.0)]
    served, now = [], 0.0
    while forks:
        now += 1.0
        forks.pop()
        actions = pool.tick(now) + pool.forked(1_000 + len(served), now)
        assert not [action for action in actions if isinstance(action, Refuse)]
        served += [action.session for action in actions if isinstance(action, Serve)]
        forks += [action for action in actions if isinstance(action, Fork)]
    assert served == list(range(24))


def test_a_fork_that_failed_is_tried_again_while_the_session_waits() -> None:
    pool = make_pool(warm=0, fork_retry_seconds=0.5)
    assert pool.session_arrived(1, "c", 0) == [Fork()]
    pool.fork_failed(0.1)
    assert pool.tick(0.2) == []
    assert pool.tick(0.7) == [Fork()]
    assert pool.forked(10, 0.8)[1] == Serve(10, 1)


def test_a_session_that_the_machine_never_had_room_for_is_told_so() -> None:
    pool = make_pool(warm=0, wait_seconds=5.0)
    pool.session_arrived(1, "c", 0)
    pool.fork_failed(0.1)
    assert pool.tick(6)[0] == Refuse(1, "53300", TOO_MANY_CONNECTIONS)


def test_forks_that_never_come_are_asked_for_again() -> None:
    pool = make_pool(warm=0, fork_seconds=10.0)
    assert pool.session_arrived(1, "c", 0) == [Fork()]
    assert pool.tick(9) == []
    assert pool.tick(11) == [Fork()]


def test_withdrawn_session_is_not_served() -> None:
    pool = make_pool(warm=0)
    pool.session_arrived(1, "c", 0)
    pool.session_withdrawn(1)
    assert pool.forked(10, 1) == []
    assert pool.pools() == {}


def test_query_processor_beyond_its_lifetime_retires_after_its_session() -> None:
    pool = with_busy(make_pool(warm=0, lifetime_seconds=10), {10: "c"})
    assert pool.tick(11) == []
    assert pool.fell_idle(10, 12) == [Retire(10)]


def test_idle_query_processor_retires_after_the_idle_time() -> None:
    pool = with_busy(make_pool(warm=0, idle_seconds=60), {10: "c"})
    pool.fell_idle(10, 1)
    assert pool.tick(60) == []
    assert pool.tick(61) == [Retire(10)]
    assert pool.tick(62) == []


def test_lifetimes_are_spread() -> None:
    pool = make_pool(warm=0, lifetime_seconds=100, lifetime_jitter=0.2)
    lifetimes = set()
    for number in range(20):
        pool.session_arrived(number, "c", 0)
        action = pool.forked(100 + number, 0)[0]
        assert isinstance(action, Assign)
        lifetimes.add(action.lifetime_seconds)
    assert len(lifetimes) == 20
    assert all(80 <= lifetime <= 100 for lifetime in lifetimes)


def test_rapid_deaths_pause_forking_for_a_while() -> None:
    pool = make_pool(warm=1, rapid_deaths_max=3, backoff_seconds=5)
    pool.tick(0)
    for number in range(3):
        pool.forked(number, 0)
        actions = pool.died(number, 0.1)
    assert actions == []
    assert pool.tick(5) == []
    assert pool.tick(5.2) == [Fork()]


def test_death_of_a_busy_query_processor_frees_its_place() -> None:
    pool = with_busy(make_pool(warm=0, sessions_per_cluster_max=1), {10: "c"})
    pool.died(10, 1)
    assert pool.session_arrived(2, "c", 2) == [Fork()]


def test_forks_lost_with_the_seed_are_asked_for_again() -> None:
    pool = make_pool(warm=1)
    assert pool.tick(0) == [Fork()]
    pool.seed_lost()
    assert pool.tick(1) == [Fork()]


def with_busy(pool: QueryProcessorPool, workers: dict[int, str]) -> QueryProcessorPool:
    """Have every worker serve a session of its cluster."""
    for worker, cluster in workers.items():
        pool.session_arrived(1000 + worker, cluster, 0)
        assert Serve(worker, 1000 + worker) in pool.forked(worker, 0)
    return pool


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["arrive", "fork", "idle", "die", "tick", "withdraw", "seed lost"]),
        st.integers(0, 30),
        st.sampled_from(["a", "b", "c"]),
    ),
    max_size=80,
)


@settings(max_examples=150, deadline=None)
@given(EVENTS)
def test_every_session_is_served_once_by_its_own_cluster_or_refused(
    events: list[tuple[str, int, str]],
) -> None:
    host = SimulatedHost()
    for step, (kind, choice, cluster) in enumerate(events):
        host.step(kind, choice, cluster, float(step))
    for step in range(40):  # let everything come to rest
        host.step("idle", 0, "", 1000.0 + step)
        host.step("fork", 0, "", 1000.0 + step)
        host.step("tick", 0, "", 1000.0 + step)
    assert not host.waiting


class SimulatedHost:
    """Plays seed and query processors, and checks what the pool asks for."""

    def __init__(self) -> None:
        # No fork is given up for lost that comes later after all: forks are slow here, a second for a step.
        self.pool = make_pool(
            warm=2, query_processors_max=4, sessions_per_cluster_max=5, fork_seconds=10_000.0
        )
        self.forks = 0
        self.workers: dict[int, str] = {}
        self.busy: dict[int, int] = {}
        self.waiting: dict[int, str] = {}
        self.numbers = iter(range(1, 1_000_000))

    def step(self, kind: str, choice: int, cluster: str, now: float) -> None:
        pool = self.pool
        if kind == "arrive":
            session = next(self.numbers)
            self.waiting[session] = cluster
            self.apply(pool.session_arrived(session, cluster, now))
        elif kind == "fork" and self.forks:
            self.forks -= 1
            worker = next(self.numbers)
            self.workers[worker] = ""
            self.apply(pool.forked(worker, now))
        elif kind == "idle" and self.busy:
            worker = sorted(self.busy)[choice % len(self.busy)]
            del self.busy[worker]
            self.apply(pool.fell_idle(worker, now))
        elif kind == "die" and self.workers:
            worker = sorted(self.workers)[choice % len(self.workers)]
            self.end(worker, now)
        elif kind == "withdraw" and self.waiting:
            session = sorted(self.waiting)[choice % len(self.waiting)]
            del self.waiting[session]
            pool.session_withdrawn(session)
        elif kind == "seed lost":
            self.forks = 0
            pool.seed_lost()
        elif kind == "tick":
            self.apply(pool.tick(now))

    def end(self, worker: int, now: float) -> None:
        del self.workers[worker]
        self.busy.pop(worker, None)
        self.apply(self.pool.died(worker, now))

    def apply(self, actions: list[Action]) -> None:
        retired = []
        for action in actions:
            match action:
                case Fork():
                    self.forks += 1
                    assert self.forks + len(self.workers) <= 4
                case Assign(worker, cluster, _):
                    assert self.workers[worker] == ""
                    self.workers[worker] = cluster
                case Serve(worker, session):
                    assert worker not in self.busy
                    assert self.workers[worker] == self.waiting.pop(session)
                    self.busy[worker] = session
                case Refuse(session, _, _):
                    del self.waiting[session]
                case Retire(worker):
                    assert worker not in self.busy
                    retired.append(worker)
        for worker in retired:
            self.end(worker, 0.0)
