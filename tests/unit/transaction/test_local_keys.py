"""A transaction over both halves: the cluster's data and the session's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from dsql.encoding.keyspace import FIRST_LOCAL, keyspace_range, prefix
from dsql.errors import FatalError, SqlError
from dsql.executor.temporary import unnamed_file
from dsql.transaction.interface import Conflict, LocalWrite, Mode
from dsql.transaction.local_store import LocalSpace, LocalStore
from dsql.transaction.manager import TransactionManager
from dsql.transaction.transaction import BufferedTransaction

SHARED, LOCAL = prefix(20_000), prefix(FIRST_LOCAL + 20_000)
RANGE = keyspace_range(FIRST_LOCAL + 20_000)


class FailingStore(LocalStore):
    """One whose disk fails when it is too late."""

    def apply(self, writes: list[LocalWrite]) -> None:
        raise SqlError("53100", f"could not write {len(writes)}")


@pytest.fixture
def space() -> Iterator[LocalSpace]:
    space = LocalSpace(unnamed_file)
    yield space
    space.close()


@pytest.fixture
def transaction(manager: TransactionManager, space: LocalSpace) -> BufferedTransaction:
    transaction = manager.begin()
    transaction.join(space.new_store(lambda: 1 << 20))
    return transaction


def put(transaction: BufferedTransaction, key: bytes, value: bytes = b"v") -> None:
    transaction.put(key, value, Mode.EXCLUSIVE, row=True)


def test_who_writes_local_keys_only_asks_nobody(
    cluster: Any, transaction: BufferedTransaction
) -> None:
    put(transaction, LOCAL + b"a")
    transaction.check(LOCAL + b"b", Mode.EXCLUSIVE)
    transaction.check(SHARED, Mode.CATALOG)
    transaction.commit()
    assert (cluster.committed, transaction.get(LOCAL + b"a")) == ([], b"v")


def test_local_keys_are_never_sent(cluster: Any, transaction: BufferedTransaction) -> None:
    put(transaction, LOCAL + b"a")
    put(transaction, SHARED + b"a")
    transaction.check(LOCAL + b"b", Mode.EXCLUSIVE)
    transaction.commit()
    (sent,) = cluster.committed
    assert ([key for key, _, _ in sent.writes], sent.checks) == ([SHARED + b"a"], [])
    assert transaction.get(LOCAL + b"a") == b"v"


def test_a_commit_that_fails_leaves_the_local_half_as_it_was(
    cluster: Any, transaction: BufferedTransaction
) -> None:
    put(transaction, LOCAL + b"a")
    put(transaction, SHARED + b"a")
    cluster.outcome = Conflict(schema=False)
    with pytest.raises(SqlError):
        transaction.commit()
    assert transaction.get(LOCAL + b"a") is None


def test_a_local_half_without_room_commits_nothing(
    cluster: Any, transaction: BufferedTransaction
) -> None:
    put(transaction, LOCAL + b"a", bytes(1 << 20))
    put(transaction, SHARED + b"a")
    with pytest.raises(SqlError) as full:
        transaction.commit()
    assert (full.value.sqlstate, cluster.committed) == ("53400", [])


def test_a_local_half_that_fails_after_the_commit_ends_the_session(
    manager: TransactionManager, space: LocalSpace
) -> None:
    transaction = manager.begin()
    transaction.join(FailingStore(space, 1, lambda: 1 << 20))
    put(transaction, LOCAL + b"a")
    with pytest.raises(SqlError) as alone:
        transaction.commit()
    assert not isinstance(alone.value, FatalError)
    put(transaction, LOCAL + b"a")
    put(transaction, SHARED + b"a")
    with pytest.raises(FatalError, match="could not write 1"):
        transaction.commit()


def test_reads_are_of_the_half_that_a_key_belongs_to(
    cluster: Any, transaction: BufferedTransaction
) -> None:
    put(transaction, LOCAL + b"a", b"1")
    put(transaction, SHARED + b"a", b"2")
    transaction.commit()
    put(transaction, LOCAL + b"b", b"3")
    assert list(transaction.scan(*RANGE)) == [(LOCAL + b"a", b"1"), (LOCAL + b"b", b"3")]
    assert list(transaction.scan(*RANGE, reverse=True)) == [
        (LOCAL + b"b", b"3"),
        (LOCAL + b"a", b"1"),
    ]
    assert list(transaction.scan(*keyspace_range(20_000))) == [(SHARED + b"a", b"2")]
    assert transaction.may_have([LOCAL + b"a"])
    assert not transaction.may_have([LOCAL + b"c", SHARED + b"c"])
    assert list(cluster.rows) == [SHARED + b"a"]


def test_a_transaction_that_has_begun_already_sees_the_store_that_it_joins(
    manager: TransactionManager, space: LocalSpace
) -> None:
    transaction = manager.begin()
    assert transaction.get(SHARED) is None
    transaction.join(space.new_store(lambda: 1 << 20))
    assert transaction.get(LOCAL + b"a") is None
    put(transaction, LOCAL + b"a")
    transaction.commit()
    assert transaction.get(LOCAL + b"a") == b"v"


def test_what_is_forgotten_is_not_committed(transaction: BufferedTransaction) -> None:
    put(transaction, LOCAL + b"a")
    put(transaction, LOCAL + b"b")
    transaction.forget((LOCAL + b"a",))
    assert [key for key, _ in transaction.scan(*RANGE)] == [LOCAL + b"b"]
    transaction.commit()
    assert [key for key, _ in transaction.scan(*RANGE)] == [LOCAL + b"b"]


def test_local_writes_may_be_more_than_a_commit_and_others_may_not(
    cluster: Any, transaction: BufferedTransaction, space: LocalSpace
) -> None:
    transaction.join(None)
    transaction.join(space.new_store(lambda: 1 << 30))
    value = bytes(1 << 20)
    for number in range(20):
        put(transaction, LOCAL + b"%d" % number, value)
    transaction.commit()
    for number in range(20):
        put(transaction, SHARED + b"%d" % number, value)
    with pytest.raises(SqlError, match="transaction size limit 10mb exceeded"):
        transaction.commit()
    assert cluster.committed == []
