from __future__ import annotations

from random import Random

import pytest

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
from placement.pool import QueryProcessorPool
from placement.pool_settings import PoolSettings


def make_pool(**overrides: float) -> QueryProcessorPool:
    values = {"warm": 1, "lifetime_jitter": 0.0, **overrides}
    return QueryProcessorPool(PoolSettings(**values), Random(1))  # type: ignore[arg-type]


def served(actions: list[Action]) -> list[tuple[int, int]]:
    """Return (worker, session) of all that are served."""
    return [(action.worker, action.session) for action in actions if isinstance(action, Serve)]


def with_processes(pool: QueryProcessorPool, workers: dict[int, str]) -> QueryProcessorPool:
    """Have every worker serve the session 1000 + its number of its cluster."""
    for worker, cluster in workers.items():
        pool.forked(worker, 0)
        assert (worker, 1000 + worker) in served(pool.session_arrived(1000 + worker, cluster, 0))
    return pool


# Where sessions go


def test_pool_forks_up_to_its_warm_size() -> None:
    pool = make_pool(warm=3)
    assert pool.tick(0) == [Fork(), Fork(), Fork()]
    assert pool.tick(1) == []


def test_first_session_takes_a_warm_query_processor_and_its_place_is_refilled() -> None:
    pool = make_pool()
    pool.tick(0)
    pool.forked(10, 0)
    assert pool.session_arrived(1, "c", 1) == [Assign(10, "c"), Serve(10, 1), Fork()]


def test_a_session_goes_to_the_process_with_the_fewest() -> None:
    pool = with_processes(make_pool(), {10: "c", 11: "c"})
    assert served(pool.session_arrived(1, "c", 1)) == [(10, 1)]
    assert served(pool.session_arrived(2, "c", 1)) == [(11, 2)]
    pool.ended(11, 2, 2)
    pool.ended(11, 1011, 2)
    assert served(pool.session_arrived(3, "c", 3)) == [(11, 3)]


def test_a_session_does_not_wait_for_a_second_process() -> None:
    """It joins the one that there is, and the next one finds a second."""
    pool = with_processes(make_pool(warm=0), {10: "c"})
    assert pool.session_arrived(1, "c", 1) == [Serve(10, 1), Fork()]
    assert pool.forked(11, 2) == []
    assert served(pool.session_arrived(2, "c", 3)) == [(11, 2)]


def test_an_idle_process_is_used_before_a_warm_one() -> None:
    pool = with_processes(make_pool(), {10: "c"})
    pool.ended(10, 1010, 1)
    pool.forked(11, 1)
    assert pool.session_arrived(1, "c", 2) == [Serve(10, 1)]


def test_of_idle_processes_the_last_used_comes_first() -> None:
    pool = with_processes(make_pool(), {10: "c", 11: "c"})
    pool.ended(11, 1011, 1)
    pool.ended(10, 1010, 2)
    assert served(pool.session_arrived(1, "c", 3)) == [(10, 1)]


def test_a_cluster_has_no_more_processes_than_it_may_have() -> None:
    pool = with_processes(make_pool(processes_per_cluster=2), {10: "c", 11: "c"})
    pool.forked(12, 1)
    for session in range(20):
        assert served(pool.session_arrived(session, "c", 1))[0][0] in (10, 11)
    assert pool.loads()["c"][:3] == (2, 0, 22)


def test_where_all_are_at_their_most_there_is_one_more_process() -> None:
    settings = {"processes_per_cluster": 1, "sessions_per_process_max": 2}
    pool = with_processes(make_pool(**settings), {10: "c"})
    pool.session_arrived(1, "c", 1)
    pool.forked(11, 1)
    assert served(pool.session_arrived(2, "c", 2)) == [(11, 2)]
    pool.session_arrived(3, "c", 2)
    assert served(pool.session_arrived(4, "c", 3)) == []
    assert pool.waiting == 1
    assert served(pool.ended(10, 1, 4)) == [(10, 4)]


def test_no_process_serves_another_cluster() -> None:
    pool = with_processes(make_pool(warm=0), {10: "c"})
    pool.ended(10, 1010, 1)
    assert pool.session_arrived(9, "d", 2) == [Fork()]


def test_the_last_warm_ones_of_a_full_host_are_for_clusters_without_any() -> None:
    pool = make_pool(query_processors_max=3)
    with_processes(pool, {10: "c", 11: "d"})
    pool.forked(12, 1)
    assert served(pool.session_arrived(1, "c", 2)) == [(10, 1)]
    assert served(pool.session_arrived(2, "e", 3)) == [(12, 2)]


# Runs of background jobs


def test_jobs_join_the_process_with_the_fewest_sessions_and_are_no_reason_for_another_one() -> None:
    pool = with_processes(make_pool(), {10: "c"})
    pool.forked(11, 1)
    assert pool.jobs_arrived(7, "c", 1) == [Serve(10, 7)]
    assert pool.loads()["c"].sessions == 2


def test_a_process_that_runs_jobs_is_not_idle() -> None:
    pool = with_processes(make_pool(idle_seconds=1), {10: "c"})
    pool.jobs_arrived(7, "c", 0)
    pool.ended(10, 1010, 0)
    assert Retire(10) not in pool.tick(10)
    pool.ended(10, 7, 10)
    assert Retire(10) in pool.tick(11)


def test_jobs_of_a_cluster_without_process_wait_for_one() -> None:
    pool = make_pool(warm=0)
    assert pool.jobs_arrived(7, "c", 0) == [Fork()]
    assert served(pool.forked(10, 1)) == [(10, 7)]


# Who waits


def test_who_waits_for_a_fork_is_served_by_it_with_all_others_of_the_cluster() -> None:
    pool = make_pool(warm=0)
    forks = [action for session in range(24) for action in pool.session_arrived(session, "c", 0)]
    assert forks == [Fork()]
    assert served(pool.forked(10, 1)) == [(10, session) for session in range(24)]
    assert pool.waiting == 0


def test_thousands_of_one_cluster_do_not_starve_the_few_of_another() -> None:
    pool = make_pool(warm=0, forks_at_once=1, sessions_per_process_max=1_000)
    for session in range(5_000):
        pool.session_arrived(session, "hungry", 0)
    for session in range(5_000, 5_005):
        pool.session_arrived(session, "small", 0)
    assert {session for _, session in served(pool.forked(1, 1))} == set(range(1_000))
    assert {session for _, session in served(pool.forked(2, 2))} == set(range(5_000, 5_005))
    for worker in range(3, 7):
        assert len(served(pool.forked(worker, worker))) == 1_000
    assert pool.waiting == 0


def test_few_forks_are_asked_for_however_many_wait() -> None:
    pool = make_pool(warm=0, forks_at_once=100, sessions_per_process_max=10)
    forks = [action for session in range(25) for action in pool.session_arrived(session, "c", 0)]
    assert forks == [Fork()] * 3


def test_at_the_hosts_limit_an_idle_stranger_makes_room() -> None:
    pool = with_processes(make_pool(warm=0, query_processors_max=1), {10: "c"})
    pool.ended(10, 1010, 1)
    assert pool.session_arrived(8, "d", 2) == [Retire(10)]
    assert pool.session_arrived(9, "d", 2) == []
    assert pool.died(10, 3) == [Fork()]
    assert served(pool.forked(11, 4)) == [(11, 8), (11, 9)]


def test_a_stranger_that_falls_idle_makes_room_for_who_waits_already() -> None:
    pool = with_processes(make_pool(warm=0, query_processors_max=1), {10: "c"})
    assert pool.session_arrived(8, "d", 1) == []
    assert pool.ended(10, 1010, 2) == [Retire(10)]


def test_many_who_wait_for_one_process_cost_one_idle_one() -> None:
    pool = make_pool(warm=0, query_processors_max=2)
    with_processes(pool, {10: "c", 11: "d"})
    pool.ended(10, 1010, 1)
    pool.ended(11, 1011, 2)
    actions = [action for session in range(9) for action in pool.session_arrived(session, "e", 3)]
    assert actions == [Retire(10)]


def test_room_is_made_by_who_leaves_its_cluster_another_process() -> None:
    pool = make_pool(warm=1, query_processors_max=4)
    with_processes(pool, {10: "c", 11: "d", 12: "d"})
    pool.forked(13, 0)
    pool.session_arrived(13, "e", 0)
    for worker in (10, 11, 12):
        pool.ended(worker, 1000 + worker, worker)
    assert Retire(11) in pool.session_arrived(1, "f", 20)


def test_session_that_waited_too_long_is_refused() -> None:
    pool = make_pool(warm=0, wait_seconds=5)
    pool.session_arrived(1, "c", 0)
    pool.session_arrived(2, "d", 1)
    assert pool.tick(4.9) == []
    assert Refuse(1, "57P03", CANNOT_START) in pool.tick(5)
    assert pool.waiting == 1
    assert Refuse(2, "57P03", CANNOT_START) in pool.tick(6)
    assert pool.loads() == {}


def test_connections_above_the_limit_are_refused() -> None:
    pool = with_processes(make_pool(warm=0, sessions_per_cluster_max=1), {10: "c"})
    assert pool.session_arrived(5, "c", 1) == [Refuse(5, "53300", TOO_MANY_CONNECTIONS)]


def test_a_fork_that_failed_is_tried_again_while_the_session_waits() -> None:
    pool = make_pool(warm=0, fork_retry_seconds=0.5)
    assert pool.session_arrived(1, "c", 0) == [Fork()]
    pool.fork_failed(0.1)
    assert pool.tick(0.2) == []
    assert pool.tick(0.7) == [Fork()]
    assert served(pool.forked(10, 0.8)) == [(10, 1)]


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
    pool.session_withdrawn(1, "c")
    assert pool.forked(10, 1) == []
    assert pool.loads() == {}


# How processes end


def test_a_process_beyond_its_lifetime_ends_with_its_sessions_and_takes_no_more() -> None:
    pool = with_processes(make_pool(warm=0, lifetime_seconds=10), {10: "c"})
    assert served(pool.session_arrived(1, "c", 9)) == [(10, 1)]
    assert served(pool.session_arrived(2, "c", 11)) == []  # before the tick, too
    assert Retire(10) in pool.tick(12)
    assert pool.loads()["c"][:4] == (0, 1, 2, 1)
    assert served(pool.forked(11, 13)) == [(11, 2)]
    assert pool.ended(10, 1010, 14) == pool.ended(10, 1, 14) == []
    assert Retire(10) not in pool.tick(15)


def test_a_full_process_takes_no_more_sessions_and_another_one_takes_its_place() -> None:
    pool = with_processes(make_pool(processes_per_cluster=1), {10: "c"})
    pool.forked(11, 1)
    assert pool.full(10, 1) == [Retire(10), Shed(10, 1)]
    assert pool.full(10, 1) == []
    assert served(pool.session_arrived(1, "c", 1)) == [(11, 1)]
    pool.ended(10, 1010, 2)
    assert served(pool.session_arrived(2, "c", 3)) == [(11, 2)]


def test_idle_process_retires_after_the_idle_time() -> None:
    pool = with_processes(make_pool(warm=0, idle_seconds=60), {10: "c"})
    pool.ended(10, 1010, 1)
    assert pool.tick(60) == []
    assert pool.tick(61) == [Retire(10)]
    assert pool.tick(62) == []


def test_the_last_idle_process_of_a_cluster_retires_last() -> None:
    pool = with_processes(make_pool(warm=0, idle_seconds=60), {10: "c", 11: "c"})
    pool.ended(11, 1011, 1)
    pool.ended(10, 1010, 2)
    assert pool.tick(70) == [Retire(11)]
    assert pool.tick(71) == [Retire(10)]


def test_lifetimes_are_spread() -> None:
    pool = make_pool(warm=0, lifetime_seconds=100, lifetime_jitter=0.2)
    for number in range(20):
        pool.session_arrived(number, f"c{number}", 0)
        pool.forked(100 + number, 0)
    retired = [action for action in pool.tick(79) if isinstance(action, Retire)]
    assert not retired
    at_once = [
        sum(isinstance(action, Retire) for action in pool.tick(now)) for now in range(80, 101)
    ]
    assert sum(at_once) == 20
    assert max(at_once) < 10


def test_rapid_deaths_pause_forking_for_a_while() -> None:
    pool = make_pool(warm=1, rapid_deaths_max=3, backoff_seconds=5)
    pool.tick(0)
    for number in range(3):
        pool.forked(number, 0)
        actions = pool.died(number, 0.1)
    assert actions == []
    assert pool.tick(5) == []
    assert pool.tick(5.2) == [Fork()]


def test_death_of_a_process_costs_its_own_sessions_and_nothing_of_its_neighbours() -> None:
    pool = with_processes(make_pool(sessions_per_cluster_max=4), {10: "c", 11: "c"})
    pool.session_arrived(1, "c", 1)
    pool.session_arrived(2, "c", 1)
    pool.died(10, 2)
    assert pool.loads()["c"][:4] == (1, 0, 2, 0)
    assert pool.ended(10, 1010, 3) == []
    assert [len(served(pool.session_arrived(number, "c", 3))) for number in (3, 4)] == [1, 1]
    assert isinstance(pool.session_arrived(5, "c", 3)[0], Refuse)


@pytest.mark.parametrize(("worker", "session"), [(10, 1), (11, 1010), (12, 1010)])
def test_the_end_of_what_a_process_does_not_serve_changes_nothing(
    worker: int, session: int
) -> None:
    pool = with_processes(make_pool(), {10: "c", 11: "d"})
    before = pool.loads()
    assert pool.ended(worker, session, 1) == []
    assert pool.loads() == before


def test_forks_lost_with_the_seed_are_asked_for_again() -> None:
    pool = make_pool(warm=1)
    assert pool.tick(0) == [Fork()]
    pool.seed_lost()
    assert pool.tick(1) == [Fork()]


def test_a_parked_session_holds_no_process_and_is_a_connection_all_the_same() -> None:
    pool = with_processes(make_pool(sessions_per_cluster_max=2), {10: "c"})
    assert served(pool.session_arrived(1, "c", 1)) == [(10, 1)]
    assert pool.parked(10, 1010, 2) == pool.parked(10, 1, 3) == []
    assert pool.parked(10, 1, 3) == []  # once is enough
    load = pool.loads()["c"]
    assert (load.sessions, load.parked, load.parkings) == (0, 2, 2)
    (refusal,) = pool.session_arrived(2, "c", 4)
    assert isinstance(refusal, Refuse)
    assert served(pool.session_woken(1, "c", 5)) == [(10, 1)]
    load = pool.loads()["c"]
    assert (load.sessions, load.parked, load.wakes) == (1, 1, 1)


def test_a_parked_session_outlives_all_processes_of_its_cluster() -> None:
    pool = with_processes(make_pool(warm=0), {10: "c"})
    pool.parked(10, 1010, 1)
    assert pool.died(10, 2) == []
    assert pool.loads()["c"].parked == 1
    assert served(pool.session_woken(1010, "c", 3)) == []
    assert served(pool.forked(11, 4)) == [(11, 1010)]


def test_a_place_that_is_given_up_goes_to_who_waits() -> None:
    pool = with_processes(
        make_pool(warm=0, sessions_per_process_max=1, query_processors_max=1), {10: "c"}
    )
    assert served(pool.session_arrived(1, "c", 1)) == []
    assert served(pool.parked(10, 1010, 2)) == [(10, 1)]


# A new agent, a new seed


def test_what_an_earlier_agent_has_left_counts_and_serves() -> None:
    pool = make_pool(sessions_per_cluster_max=3, sessions_per_process_max=3)
    assert pool.adopted(10, "c", [1, 2], 0) == []
    load = pool.loads()["c"]
    assert (load.processes, load.sessions) == (1, 2)
    assert served(pool.session_arrived(3, "c", 1)) == [(10, 3)]
    assert pool.session_arrived(4, "c", 1) == [Refuse(4, "53300", TOO_MANY_CONNECTIONS)]
    pool.ended(10, 1, 2)
    assert pool.loads()["c"].sessions == 2


def test_who_waited_before_is_served_by_what_is_adopted() -> None:
    pool = make_pool(sessions_per_process_max=2)
    assert served(pool.session_arrived(1, "c", 0)) == []
    assert served(pool.session_arrived(2, "c", 0)) == []
    assert served(pool.adopted(10, "c", [7], 0)) == [(10, 1)]
    assert pool.waiting == 1


def test_a_new_seeds_query_processors_replace_all_others() -> None:
    pool = with_processes(make_pool(warm=1), {10: "c", 11: "d"})
    pool.forked(12, 0)
    actions = pool.renewed(1)
    assert End(12) in actions
    assert {Retire(10), Retire(11)} <= set(actions)
    assert Fork() in actions
    assert pool.tick(2) == []  # there is nowhere to go
    pool.forked(20, 3)
    assert Shed(10, 1) in pool.tick(4)
    assert served(pool.moved(10, 1010, 5)) == [(20, 1010)]


def test_a_deleted_cluster_has_nobody_left_who_waits() -> None:
    pool = make_pool(warm=0)
    pool.session_arrived(1, "c", 0)
    pool.forked(10, 0)
    pool.parked(10, 1, 0)
    pool.full(10, 0)
    pool.session_arrived(2, "c", 0)
    assert pool.dissolved("c") == [Refuse(2, "57P01", CLUSTER_DELETED)]
    assert pool.waiting == 0
    pool.died(10, 1)
    assert pool.loads() == {}
