"""Locks of processes that live, hang and die, by clocks of a test's own."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from memory_server import MemoryStore

from adjudicator.client import NotificationFeed
from dsql.errors import FatalError, SqlError
from dsql.hub.waiter import Blocking
from dsql.locks.lock import LockMode, Tag
from dsql.locks.server import BEAT_SECONDS, EXPIRY_SECONDS, FENCE_SECONDS, LockServer
from dsql.locks.session import SessionLocks
from dsql.transaction.interface import Mode
from dsql.transaction.manager import POSTGRES_LIMITS, TransactionManager
from dsql.transaction.transaction import BufferedTransaction

TAG, OTHER = Tag(0, 1, 1), Tag(0, 2, 1)
EXCLUSIVE = LockMode.EXCLUSIVE


class Cluster:
    def __init__(self) -> None:
        self.store = MemoryStore()
        self.now = 0.0
        self.unavailable = False

    def commit(self, encoded: bytes, transaction_id: bytes, premises: bytes = b"") -> object:
        if self.unavailable:
            raise SqlError("57P03", "the cluster cannot commit now")
        return self.store.commit(encoded, transaction_id, premises)

    def pass_time(self, seconds: float) -> None:
        self.now += seconds


class Process:
    """One that beats when it is told to."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        waiter = Blocking(lambda: cluster.now, cluster.pass_time)
        manager = TransactionManager(
            cluster.store,
            cluster,  # type: ignore[arg-type]
            cluster.store,
            POSTGRES_LIMITS,
        )
        self.begin: Callable[[], BufferedTransaction] = manager.begin
        feed = NotificationFeed([], lambda az: None, waiter, lambda run: run, cluster.store.latest)
        cluster.store.feeds.append(feed)
        self.server = LockServer(manager.begin, waiter, feed, None)
        self.ends: list[FatalError] = []

    def session(self, number: int) -> SessionLocks:
        return SessionLocks(self.server, number, self.ends.append)

    def beat(self) -> None:
        """One round of what the server's tasks do for ever."""
        self.server.beat()
        self.server.guard()
        self._cluster.now += BEAT_SECONDS


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def test_a_lock_of_a_process_that_beats_is_never_taken(cluster: Cluster) -> None:
    one, other = Process(cluster), Process(cluster)
    assert one.session(1).try_to_take(TAG, EXCLUSIVE, None)
    waiting = other.session(2)
    for _ in range(20):
        assert not waiting.try_to_take(TAG, EXCLUSIVE, None)
        one.beat()
        assert not one.ends


def test_a_lock_of_a_process_that_beats_no_more_is_taken_by_who_has_seen_that(
    cluster: Cluster,
) -> None:
    one, other = Process(cluster), Process(cluster)
    dead = one.session(1)
    dead.try_to_take(TAG, EXCLUSIVE, None)
    dead.try_to_take(OTHER, EXCLUSIVE, None)
    cluster.now += 10 * EXPIRY_SECONDS  # nobody has looked meanwhile
    living = other.session(2)
    assert not living.try_to_take(TAG, EXCLUSIVE, None)
    cluster.now += EXPIRY_SECONDS - 1
    assert not living.try_to_take(TAG, EXCLUSIVE, None)
    cluster.now += 2
    assert living.try_to_take(TAG, EXCLUSIVE, None)
    assert living.try_to_take(OTHER, EXCLUSIVE, None)


def test_a_process_that_cannot_beat_ends_its_sessions_before_anybody_takes_their_locks(
    cluster: Cluster,
) -> None:
    assert FENCE_SECONDS + 2 * BEAT_SECONDS <= EXPIRY_SECONDS
    process = Process(cluster)
    process.session(1).try_to_take(TAG, EXCLUSIVE, None)
    cluster.unavailable = True
    while cluster.now < FENCE_SECONDS:
        assert not process.ends
        process.beat()
    process.beat()
    assert [error.sqlstate for error in process.ends] == ["57P01"]


@pytest.mark.parametrize("begins_before", [False, True])
def test_who_was_taken_for_dead_commits_nothing_under_its_lock(
    begins_before: bool, cluster: Cluster
) -> None:
    """It may have stood still, and not know yet."""
    one, other = Process(cluster), Process(cluster)
    still = one.session(1)
    still.try_to_take(TAG, EXCLUSIVE, None)
    transaction = one.begin()
    if begins_before:
        transaction.put(b"kept", b"", Mode.EXCLUSIVE)
    living = other.session(2)
    living.try_to_take(TAG, EXCLUSIVE, None)
    cluster.now += EXPIRY_SECONDS + 1
    assert living.try_to_take(TAG, EXCLUSIVE, None)

    def commit() -> None:
        still.fence(transaction)
        transaction.commit()

    with pytest.raises(SqlError) as failure:
        commit()
    assert failure.value.sqlstate == ("40001" if begins_before else "57P01")
    with pytest.raises(FatalError):
        still.try_to_take(OTHER, EXCLUSIVE, None)
    one.beat()
    assert {error.sqlstate for error in one.ends} == {"57P01"}


def test_what_a_session_had_whose_process_has_ended_is_free_at_once(cluster: Cluster) -> None:
    one, other = Process(cluster), Process(cluster)
    one.session(1).try_to_take(TAG, EXCLUSIVE, None)
    one.session(7).try_to_take(OTHER, EXCLUSIVE, None)
    living = other.session(2)
    other.server.mourn([1])
    assert living.try_to_take(TAG, EXCLUSIVE, None)
    assert not living.try_to_take(OTHER, EXCLUSIVE, None)


def test_a_later_session_of_the_same_number_is_not_taken_for_the_dead_one(
    cluster: Cluster,
) -> None:
    other = Process(cluster)
    other.server.mourn([1])
    Process(cluster).session(1).try_to_take(TAG, EXCLUSIVE, None)
    assert not other.session(2).try_to_take(TAG, EXCLUSIVE, None)


def test_what_a_session_has_goes_where_it_goes(cluster: Cluster) -> None:
    one, other = Process(cluster), Process(cluster)
    before = one.session(1)
    before.try_to_take(TAG, EXCLUSIVE, None)
    before.try_to_take(TAG, EXCLUSIVE, None)
    before.try_to_take(OTHER, EXCLUSIVE, 3)
    record = before.record()
    assert record is not None
    after = other.session(1)
    after.take_up(record)
    third = Process(cluster).session(3)
    assert not third.try_to_take(TAG, EXCLUSIVE, None)
    after.end_transaction()
    assert third.try_to_take(OTHER, EXCLUSIVE, None)
    assert after.give_up(TAG, EXCLUSIVE)
    assert after.give_up(TAG, EXCLUSIVE)
    assert not after.any
    assert third.try_to_take(TAG, EXCLUSIVE, None)


def test_nothing_is_left_of_who_has_given_all_up(cluster: Cluster) -> None:
    session = Process(cluster).session(1)
    session.try_to_take(TAG, EXCLUSIVE, None)
    session.try_to_take(OTHER, LockMode.SHARE, 1)
    assert cluster.store.rows
    session.close()
    assert not cluster.store.rows


def test_graves_are_forgotten_when_nobody_can_rise_from_them(cluster: Cluster) -> None:
    living = Process(cluster).session(9)

    def bury_one() -> int:
        Process(cluster).session(1).try_to_take(TAG, EXCLUSIVE, None)
        living.try_to_take(TAG, EXCLUSIVE, None)
        cluster.now += EXPIRY_SECONDS + 1
        assert living.try_to_take(TAG, EXCLUSIVE, None)
        living.give_up(TAG, EXCLUSIVE)
        return len(cluster.store.rows)

    assert bury_one() == 1
    assert bury_one() == 2
    cluster.store.now += 3 * 3_600 * 1_000_000
    assert bury_one() == 1
