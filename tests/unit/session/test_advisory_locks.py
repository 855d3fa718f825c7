"""Advisory locks of sessions with one store behind them."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from memory_server import Peer, Server, before_next_commit, errors, letters, notices

from dsql.locks.lock import BURIAL, owner_range
from dsql.wire import client

HELD = "SELECT classid, objid, objsubid, mode, granted FROM pg_locks ORDER BY 1, 2, 3, 4"


@pytest.fixture
def pair(postgres: Server) -> tuple[Peer, Peer]:
    return postgres.connect(), postgres.connect()


def tries(peer: Peer, call: str) -> bool:
    return peer.rows(f"SELECT {call}") == [[b"t"]]


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def waiters(peer: Peer) -> int:
    return int(peer.rows("SELECT count(*) FROM pg_locks WHERE NOT granted")[0][0] or 0)


def test_one_session_at_a_time_has_an_exclusive_lock(pair: tuple[Peer, Peer]) -> None:
    one, other = pair
    one.query("SELECT pg_advisory_lock(5)")
    assert not tries(other, "pg_try_advisory_lock(5)")
    assert not tries(other, "pg_try_advisory_lock_shared(5)")
    assert tries(other, "pg_try_advisory_lock(6)")
    assert tries(one, "pg_advisory_unlock(5)")
    assert tries(other, "pg_try_advisory_lock(5)")


def test_many_sessions_have_a_shared_lock(pair: tuple[Peer, Peer]) -> None:
    one, other = pair
    one.query("SELECT pg_advisory_lock_shared(5)")
    assert tries(other, "pg_try_advisory_lock_shared(5)")
    assert not tries(other, "pg_try_advisory_lock(5)")
    assert tries(one, "pg_advisory_unlock_shared(5)")
    assert tries(other, "pg_try_advisory_lock(5)")


def test_a_bigint_and_two_integers_name_different_locks(pair: tuple[Peer, Peer]) -> None:
    one, other = pair
    one.query("SELECT pg_advisory_lock(1::bigint << 32 | 2), pg_advisory_lock(-1, -2)")
    assert tries(other, "pg_try_advisory_lock(1, 2)")
    assert not tries(other, "pg_try_advisory_lock(-1, -2)")
    other.query("SELECT pg_advisory_unlock_all()")
    assert one.rows(HELD) == [
        [b"1", b"2", b"1", b"ExclusiveLock", b"t"],
        [b"4294967295", b"4294967294", b"2", b"ExclusiveLock", b"t"],
    ]


def test_what_is_taken_twice_is_given_up_twice(pair: tuple[Peer, Peer]) -> None:
    one, other = pair
    one.query("SELECT pg_advisory_lock(5), pg_advisory_lock(5)")
    assert tries(one, "pg_advisory_unlock(5)")
    assert not tries(other, "pg_try_advisory_lock(5)")
    assert tries(one, "pg_advisory_unlock(5)")
    warned = notices(one.query("SELECT pg_advisory_unlock(5), pg_advisory_unlock_shared(5)"))
    assert [(notice["C"], notice["M"]) for notice in warned] == [
        ("01000", "you don't own a lock of type ExclusiveLock"),
        ("01000", "you don't own a lock of type ShareLock"),
    ]
    assert tries(other, "pg_try_advisory_lock(5)")


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK", "SELECT nothing; COMMIT"])
def test_a_transactions_lock_goes_with_it(end: str, pair: tuple[Peer, Peer]) -> None:
    one, other = pair
    one.query("BEGIN; SELECT pg_advisory_xact_lock(5)")
    assert not tries(one, "pg_advisory_unlock(5)")
    assert not tries(other, "pg_try_advisory_lock(5)")
    one.query(end)
    one.query("ROLLBACK")
    assert tries(other, "pg_try_advisory_lock(5)")


def test_a_sessions_lock_outlives_a_rollback(pair: tuple[Peer, Peer]) -> None:
    one, other = pair
    one.query("BEGIN; SELECT pg_advisory_lock(5), pg_advisory_xact_lock(5); ROLLBACK")
    assert not tries(other, "pg_try_advisory_lock(5)")
    one.query("DISCARD ALL")
    assert tries(other, "pg_try_advisory_lock(5)")


def test_a_transactions_lock_goes_with_its_savepoint(pair: tuple[Peer, Peer]) -> None:
    one, other = pair
    one.query("BEGIN; SELECT pg_advisory_xact_lock(5); SAVEPOINT s")
    one.query("SELECT pg_advisory_xact_lock(6); ROLLBACK TO s")
    assert one.rows("SELECT objid FROM pg_locks") == [[b"5"]]  # whatever its snapshot
    assert tries(other, "pg_try_advisory_lock(6)")
    assert not tries(other, "pg_try_advisory_lock(5)")


def test_the_end_of_a_session_is_the_end_of_its_locks(postgres: Server) -> None:
    one, other = postgres.connect(), postgres.connect()
    one.query("SELECT pg_advisory_lock(5); BEGIN; SELECT pg_advisory_xact_lock(6)")
    one.socket.close()
    until(lambda: not other.rows(HELD))
    assert not [key for key in postgres.store.rows if key.startswith(b"\0\0\0\x3d")]


def test_who_waits_gets_the_lock_in_his_turn(postgres: Server) -> None:
    holder, watcher = postgres.connect(), postgres.connect()
    holder.query("SELECT pg_advisory_lock(5)")
    peers = [postgres.connect() for _ in range(3)]
    order: list[int] = []

    def wait(number: int) -> None:
        answers = peers[number].query("SELECT pg_advisory_lock(5)")
        assert not errors(answers)
        order.append(number)
        peers[number].query("SELECT pg_advisory_unlock(5)")

    with ThreadPoolExecutor(3) as threads:
        waits = []
        for number in range(3):
            waits.append(threads.submit(wait, number))
            until(lambda number=number: waiters(watcher) == number + 1)  # type: ignore[misc]
        assert not tries(watcher, "pg_try_advisory_lock_shared(5)")
        assert watcher.rows("SELECT pg_blocking_pids(pid) FROM pg_locks WHERE pid = 9") == [
            [b"{7}"]
        ]
        holder.query("SELECT pg_advisory_unlock(5)")
        for one in waits:
            one.result(30)
    assert order == [0, 1, 2]


def test_lock_timeout_ends_a_wait_and_leaves_nobody_in_line(pair: tuple[Peer, Peer]) -> None:
    one, other = pair
    one.query("SELECT pg_advisory_lock(5)")
    other.query("SET lock_timeout = 20")
    assert other.fails("SELECT pg_advisory_lock(5)") == (
        "55P03",
        "canceling statement due to lock timeout",
    )
    assert waiters(one) == 0
    assert tries(other, "pg_try_advisory_lock(6)")


def test_statement_timeout_ends_a_wait(pair: tuple[Peer, Peer]) -> None:
    one, other = pair
    one.query("SELECT pg_advisory_lock(5)")
    other.query("SET statement_timeout = 20")
    assert other.fails("SELECT pg_advisory_lock(5)")[0] == "57014"
    assert waiters(one) == 0


def test_of_two_who_wait_for_each_other_one_is_told_so(pair: tuple[Peer, Peer]) -> None:
    one, other = pair
    one.query("SELECT pg_advisory_lock(1)")
    other.query("SELECT pg_advisory_lock(2)")
    one.send(client.query("SELECT pg_advisory_lock(2)"))
    other.send(client.query("SELECT pg_advisory_lock(1)"))

    def finish(peer: Peer) -> list[dict[str, str]]:
        found = errors(peer.until_ready())
        peer.query("SELECT pg_advisory_unlock_all()")
        return found

    with ThreadPoolExecutor(2) as threads:
        told = [found for found in threads.map(finish, pair) if found]
    assert [(found[0]["C"], found[0]["M"]) for found in told] == [("40P01", "deadlock detected")]
    assert "waits for ExclusiveLock on advisory lock [" in told[0][0]["D"]


def test_a_transaction_that_begins_with_a_lock_sees_what_was_committed_under_it(
    pair: tuple[Peer, Peer], postgres: Server
) -> None:
    one, other = pair
    watcher = postgres.connect()
    one.query("CREATE TABLE t (n int)")
    one.query("BEGIN; SELECT pg_advisory_xact_lock(5); INSERT INTO t VALUES (1)")
    other.send(client.query("BEGIN; SELECT pg_advisory_xact_lock(5); SELECT count(*) FROM t"))
    until(lambda: waiters(watcher) == 1)
    one.query("COMMIT")
    answers = other.until_ready()
    assert b"1" in [client.row_values(body)[0] for kind, body in answers if kind == "D"]
    assert letters(other.query("COMMIT")) == "CZ"


def test_a_transaction_that_is_run_again_is_fenced_again(
    pair: tuple[Peer, Peer], postgres: Server
) -> None:
    """Or a session that is taken for dead meanwhile could commit under a lock that another one has."""
    one, two = pair
    one.query("create table t (id int primary key, n int); insert into t values (1, 0)")
    one.query("select pg_advisory_lock(1)")
    store = postgres.store
    low, high = owner_range()
    (beat,) = (key for key in store.rows if low <= key < high)

    def bury() -> None:
        store.now += 1
        store.changed[beat[: -len(BURIAL)] + BURIAL] = store.now

    def overtake() -> None:
        two.query("update t set n = n + 1")
        before_next_commit(postgres, bury)  # what one does is run again first

    before_next_commit(postgres, overtake)
    assert one.fails("update t set n = n + 10")[0] == "40001"
    assert two.rows("select n from t") == [[b"1"]]


@pytest.mark.parametrize("extended", [False, True])
def test_what_was_answered_is_told_before_the_next_statement_takes_its_time(
    pair: tuple[Peer, Peer], extended: bool
) -> None:
    one, other = pair
    one.query("SELECT pg_advisory_lock(5)")
    texts = "SELECT 7", "SELECT pg_advisory_lock(5)"
    if extended:
        other.send(*(message for text in texts for message in pipelined(text)))
    else:
        other.send(*map(client.query, texts))
    answers = other.until("Z")
    assert letters(answers).endswith("DCZ")
    one.query("SELECT pg_advisory_unlock(5)")
    assert letters(other.until("Z")).endswith("DCZ")


def pipelined(text: str) -> list[bytes]:
    return [
        client.message(b"P", b"\0" + text.encode() + b"\0\0\0"),
        client.message(b"B", b"\0" * 8),
        client.message(b"E", b"\0\0\0\0\0"),
        client.message(b"S"),
    ]
