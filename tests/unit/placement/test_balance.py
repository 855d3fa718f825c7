"""Sessions go where there is least to do, and do not go to and fro."""

from __future__ import annotations

from random import Random

import pytest

from placement.balance import EVEN_SECONDS, SHED_SECONDS
from placement.cluster_pool import LOAD_SECONDS, LONG_SECONDS
from placement.decisions import Action, Assign, Retire, Serve, Shed
from placement.pool import SHED_AT_ONCE, QueryProcessorPool
from placement.pool_settings import PoolSettings


def pool_with(sessions: dict[int, int], **settings: float) -> QueryProcessorPool:
    """Return a pool whose workers serve so many sessions of one cluster: worker * 1000, and so on."""
    values = {"warm": 0, "lifetime_jitter": 0.0, "processes_per_cluster": len(sessions), **settings}
    pool = QueryProcessorPool(PoolSettings(**values), Random(1))  # type: ignore[arg-type]
    for worker in sessions:
        pool.forked(worker, 0)
        pool.session_arrived(worker * 1000, "c", 0)
    for worker, count in sessions.items():
        for other in sessions:
            pool.busy_with(other, 5.0 * (other != worker), 0, long=False)
        for number in range(1, count):
            assert served(pool.session_arrived(worker * 1000 + number, "c", 0)) == [worker]
    return pool


def served(actions: list[Action]) -> list[int]:
    return [action.worker for action in actions if isinstance(action, Serve)]


def test_all_others_leave_a_long_statement() -> None:
    pool = pool_with({10: 4, 11: 4})
    assert pool.busy_with(10, 3.0, 1, long=True) == [Shed(10, 3)]
    assert served(pool.moved(10, 10_001, 1.01)) == [11]
    assert pool.busy_with(10, 3.0, 1 + SHED_SECONDS / 2, long=True) == []
    assert pool.busy_with(10, 3.0, 1 + SHED_SECONDS, long=True) == [Shed(10, 2)]
    assert pool.loads()["c"].moves == 1
    assert pool.loads()["c"].sheds >= 2


def test_nobody_leaves_for_where_another_long_statement_is() -> None:
    pool = pool_with({10: 4, 11: 4})
    assert pool.busy_with(10, 3.0, 1, long=True)
    assert pool.busy_with(11, 3.0, 1.2, long=True) == []
    assert pool.busy_with(10, 3.0, 1.3, long=True) == []


def test_a_long_statement_that_is_alone_is_left_alone() -> None:
    pool = pool_with({10: 1, 11: 2})
    assert pool.busy_with(10, 1.0, 10, long=True) == []
    for session in range(5):
        assert served(pool.session_arrived(session, "c", 10.1)) == [11]


def test_nobody_comes_to_a_process_that_hangs_not_even_from_there() -> None:
    pool = pool_with({10: 2, 11: 8})
    pool.hangs(10)
    assert served(pool.session_arrived(1, "c", 10)) == [11]
    assert served(pool.moved(10, 10_000, 10)) == [11]


def test_nobody_is_asked_to_leave_a_process_that_has_nobody() -> None:
    pool = pool_with({10: 1, 11: 2})
    pool.ended(10, 10_000, 10)
    assert pool.busy_with(10, 1.0, 10, long=True) == []  # said before the statement ended


def test_a_process_is_used_again_when_its_long_statement_is_over() -> None:
    pool = pool_with({10: 1, 11: 8})
    pool.busy_with(10, 1.0, 10, long=True)
    assert pool.busy_with(11, 3.0, 10.5, long=False) == []
    assert pool.busy_with(11, 3.0, 10 + LONG_SECONDS, long=False) == [Shed(11, 4)]


def test_a_session_joins_who_has_least_to_do_whatever_the_number_of_sessions() -> None:
    pool = pool_with({10: 2, 11: 5})
    pool.busy_with(10, 1.9, 10, long=False)
    assert served(pool.session_arrived(1, "c", 10.1)) == [11]
    assert served(pool.session_arrived(2, "c", 10 + LOAD_SECONDS)) == [10]  # it has not said more


def test_half_of_the_difference_moves_and_that_not_too_often() -> None:
    pool = pool_with({10: 6, 11: 1})
    assert pool.busy_with(10, 3.0, 10, long=False) == [Shed(10, 3)]
    assert pool.busy_with(10, 3.0, 10 + EVEN_SECONDS / 2, long=False) == []
    pool.busy_with(11, 2.0, 10 + EVEN_SECONDS, long=False)
    assert pool.busy_with(10, 2.5, 10 + EVEN_SECONDS, long=False) == []


def test_a_quarter_of_much_is_no_reason_to_move() -> None:
    pool = pool_with({10: 9, 11: 9})
    pool.busy_with(11, 6.5, 10, long=False)
    later = 10 + EVEN_SECONDS
    assert pool.busy_with(10, 8.0, later, long=False) == []
    assert pool.busy_with(10, 9.5, later, long=False) == [Shed(10, 1)]


def test_who_computes_and_keeps_nobody_waiting_stays() -> None:
    pool = pool_with({10: 6, 11: 1})
    assert pool.busy_with(10, 0.9, 10, long=False) == []


def test_sessions_of_a_full_process_move_to_an_empty_one_that_was_added() -> None:
    pool = pool_with({10: 30, 11: 1})
    assert pool.tick(10) == [Shed(10, 14)]
    pool = pool_with({10: 12, 11: 3})
    assert pool.tick(10) == []


def test_where_all_are_loaded_a_warm_process_is_added_and_taken() -> None:
    pool = pool_with({10: 4}, processes_per_cluster=2)
    pool.forked(12, 1)
    actions = pool.busy_with(10, 3.0, 10, long=True)
    assert [type(action) for action in actions] == [Assign, Shed]
    assert served(pool.moved(10, 10_001, 10.01)) == [12]


def test_the_sessions_of_a_process_that_ends_move() -> None:
    pool = pool_with({10: 3, 11: 1}, lifetime_seconds=100)
    pool.forked(12, 99)
    assert served(pool.session_arrived(1, "d", 99)) == [12]
    assert pool.full(10, 50) == [Retire(10), Shed(10, 3)]
    assert served(pool.moved(10, 10_001, 50.1)) == [11]
    assert pool.tick(51) == [Shed(10, 2)]  # what could not leave then may be able to now


def test_not_all_of_many_leave_at_once() -> None:
    pool = pool_with({10: 900, 11: 1})
    assert pool.full(10, 50) == [Retire(10), Shed(10, SHED_AT_ONCE)]


def test_they_stay_where_there_is_no_other() -> None:
    pool = pool_with({10: 3})
    assert pool.full(10, 50) == [Retire(10)]


def test_jobs_that_end_and_sessions_unknown_move_nothing() -> None:
    pool = pool_with({10: 3, 11: 1})
    assert pool.moved(10, 11_000, 1) == pool.moved(99, 10_000, 1) == []
    assert pool.busy_with(99, 1.0, 1, long=True) == []
    assert pool.loads()["c"].moves == 0


@pytest.mark.parametrize("seed", range(5))
def test_sessions_that_are_all_alike_come_to_rest(seed: int) -> None:
    """Each of 24 sessions always wants a third of a processor; what they say is noisy."""
    random = Random(seed)
    pool = pool_with({10: 23, 11: 1})
    homes = {10 * 1000 + n: 10 for n in range(23)} | {11_000: 11}
    moves = []
    for step in range(400):
        now = 10 + step * 0.1
        for worker in (10, 11):
            wanted = sum(home == worker for home in homes.values()) / 3
            pressure = max(0.0, wanted + random.uniform(-0.4, 0.4))
            asked = pool.busy_with(worker, pressure, now, long=False)
            if step % 5 == 0:
                asked += pool.tick(now)
            for action in asked:
                if isinstance(action, Shed):
                    leaving = [s for s, home in homes.items() if home == action.worker]
                    for session in leaving[: action.sessions]:
                        (to,) = served(pool.moved(action.worker, session, now))
                        homes[session] = to
                        moves.append(step)
    assert 10 <= len(moves) <= 24
    assert max(moves) < 100
