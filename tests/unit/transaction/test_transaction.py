from __future__ import annotations

from typing import Any

import pytest

from dsql.errors import SqlError
from dsql.transaction.interface import Conflict, Mode, Refused, Unknown
from dsql.transaction.manager import POSTGRES_LIMITS, TransactionManager
from dsql.transaction.transaction import Limits


def test_start_timestamp_is_taken_by_the_first_read(manager: Any, cluster: Any) -> None:
    transaction = manager.begin()
    cluster.now = 77
    assert cluster.snapshots == 0
    transaction.get(b"a")
    cluster.now = 99
    assert transaction.start_timestamp == 77


def test_reads_see_own_writes_and_nobody_else_does(manager: Any, cluster: Any) -> None:
    cluster.rows = {b"a": b"1", b"b": b"2"}
    transaction = manager.begin()
    transaction.put(b"a", b"9", Mode.NON_KEY, row=True)
    transaction.delete(b"b", Mode.EXCLUSIVE, row=True)
    transaction.put(b"c", b"3", Mode.EXCLUSIVE, row=True)
    assert [transaction.get(key) for key in (b"a", b"b", b"c")] == [b"9", None, b"3"]
    assert list(transaction.scan(b"a", b"z")) == [(b"a", b"9"), (b"c", b"3")]
    assert cluster.rows == {b"a": b"1", b"b": b"2"}
    transaction.commit()
    assert cluster.rows == {b"a": b"9", b"c": b"3"}


def test_statement_does_not_scan_what_it_writes(manager: Any, cluster: Any) -> None:
    cluster.rows = {b"a": b"1"}
    transaction = manager.begin()
    transaction.begin_statement()
    transaction.put(b"a", b"2", Mode.NON_KEY)
    transaction.put(b"b", b"2", Mode.EXCLUSIVE)
    assert list(transaction.scan(b"a", b"z")) == [(b"a", b"1")]
    assert transaction.get(b"b") == b"2"
    transaction.begin_statement()
    assert list(transaction.scan(b"a", b"z")) == [(b"a", b"2"), (b"b", b"2")]
    transaction.put(b"b", b"3", Mode.EXCLUSIVE)
    assert list(transaction.scan(b"a", b"z")) == [(b"a", b"2"), (b"b", b"2")]


def test_statement_does_not_read_what_it_writes(manager: Any, cluster: Any) -> None:
    cluster.rows = {b"a": b"1"}
    transaction = manager.begin()
    transaction.begin_statement()
    transaction.put(b"a", b"2", Mode.NON_KEY)
    transaction.put(b"b", b"2", Mode.EXCLUSIVE)
    assert [transaction.read(key) for key in (b"a", b"b")] == [b"1", None]
    transaction.begin_statement()
    transaction.delete(b"a", Mode.EXCLUSIVE)
    assert [transaction.read(key) for key in (b"a", b"b")] == [b"2", b"2"]
    transaction.begin_statement()
    assert [transaction.read(key) for key in (b"a", b"b")] == [None, b"2"]


def test_running_scan_is_not_disturbed_by_writes(manager: Any, cluster: Any) -> None:
    cluster.rows = {b"a": b"1", b"c": b"1"}
    transaction = manager.begin()
    transaction.put(b"b", b"1", Mode.EXCLUSIVE)
    seen = []
    for key, _ in transaction.scan(b"a", b"z"):
        seen.append(key)
        transaction.put(key + b"'", b"2", Mode.EXCLUSIVE)
    assert seen == [b"a", b"b", b"c"]


def test_reading_alone_never_asks_the_adjudicator(manager: Any, cluster: Any) -> None:
    transaction = manager.begin()
    transaction.get(b"a")
    transaction.check(b"version", Mode.CATALOG)
    assert not transaction.has_writes
    transaction.commit()
    assert cluster.committed == []
    assert cluster.released == 1


def test_lock_alone_is_decided_by_the_adjudicator(manager: Any, cluster: Any) -> None:
    transaction = manager.begin()
    transaction.check(b"row", Mode.EXCLUSIVE)
    transaction.commit()
    assert cluster.committed[0].checks == [(b"row", Mode.EXCLUSIVE)]


def test_each_key_stands_once_with_its_stricter_mode(manager: Any, cluster: Any) -> None:
    transaction = manager.begin()
    transaction.check(b"locked", Mode.SHARE)
    transaction.check(b"locked", Mode.EXCLUSIVE)
    transaction.check(b"written", Mode.EXCLUSIVE)
    transaction.put(b"written", b"1", Mode.NON_KEY)
    transaction.put(b"twice", b"1", Mode.EXCLUSIVE)
    transaction.put(b"twice", b"2", Mode.NON_KEY)
    transaction.commit()
    (write_set,) = cluster.committed
    assert write_set.checks == [(b"locked", Mode.EXCLUSIVE)]
    assert sorted(write_set.writes) == [
        (b"twice", Mode.EXCLUSIVE, b"2"),
        (b"written", Mode.EXCLUSIVE, b"1"),
    ]


@pytest.mark.parametrize(
    ("outcome", "sqlstate", "text"),
    [
        (Conflict(False), "40001", "OC000"),
        (Conflict(True), "40001", "OC001"),
        (Refused(disk_full=True), "53100", "No space left on device"),
        (Refused(disk_full=False), "08P01", "malformed"),
        (Unknown(), "08007", "transaction resolution unknown"),
    ],
)
def test_outcomes_that_are_no_commit_become_errors(
    manager: Any, cluster: Any, outcome: Any, sqlstate: str, text: str
) -> None:
    cluster.outcome = outcome
    transaction = manager.begin()
    transaction.put(b"a", b"1", Mode.EXCLUSIVE)
    with pytest.raises(SqlError, match=text) as caught:
        transaction.commit()
    assert caught.value.sqlstate == sqlstate
    assert not transaction.has_writes


def test_row_above_the_limit_fails_its_statement(cluster: Any) -> None:
    manager = TransactionManager(cluster, cluster, cluster, Limits(rows_max=3))
    transaction = manager.begin()
    for number in range(3):
        transaction.put(b"%d" % number, b"", Mode.EXCLUSIVE, row=True)
        transaction.put(b"i%d" % number, b"", Mode.BLIND)
    with pytest.raises(SqlError, match="transaction row limit exceeded"):
        transaction.put(b"3", b"", Mode.EXCLUSIVE, row=True)


def test_postgres_profile_has_no_row_limit(cluster: Any) -> None:
    transaction = TransactionManager(cluster, cluster, cluster, POSTGRES_LIMITS).begin()
    for number in range(3_001):
        transaction.put(b"%d" % number, b"", Mode.EXCLUSIVE, row=True)
    transaction.commit()
    assert len(cluster.rows) == 3_001


def test_the_write_that_exceeds_the_size_limit_fails(manager: Any, cluster: Any) -> None:
    transaction = manager.begin()
    value = bytes(2 * 1024 * 1024 - 10)
    for number in range(5):
        transaction.put(b"%d" % number, value, Mode.EXCLUSIVE, row=True)
    with pytest.raises(SqlError, match="transaction size limit 10mb exceeded") as caught:
        transaction.put(b"5", value, Mode.EXCLUSIVE, row=True)
    assert caught.value.detail == "Current transaction size 12mb > 10mb"
    transaction.rollback()
    assert cluster.committed == []


def test_what_only_the_encoding_makes_too_large_fails_at_commit(manager: Any, cluster: Any) -> None:
    transaction = manager.begin()
    for number in range(5):
        transaction.put(b"%d" % number, bytes(2 * 1024 * 1024 - 1), Mode.EXCLUSIVE, row=True)
    with pytest.raises(SqlError, match="transaction size limit 10mb exceeded"):
        transaction.commit()
    assert cluster.committed == []


def test_row_above_two_mebibytes_is_refused(manager: Any) -> None:
    with pytest.raises(SqlError, match="maximum row size exceeded"):
        manager.begin().put(b"a", bytes(2 * 1024 * 1024 + 1), Mode.EXCLUSIVE, row=True)


def test_old_transaction_fails_at_its_next_statement(manager: Any, cluster: Any) -> None:
    transaction = manager.begin()
    transaction.get(b"a")
    cluster.seconds = 300.0
    transaction.begin_statement()
    cluster.seconds = 301.5
    with pytest.raises(SqlError, match="transaction age limit of 300s exceeded") as caught:
        transaction.begin_statement()
    assert caught.value.detail == "Current transaction age 301s exceeds 300s"
    assert caught.value.sqlstate == "54000"


def test_transaction_is_as_new_after_its_end(manager: Any, cluster: Any) -> None:
    transaction = manager.begin()
    transaction.put(b"a", b"1", Mode.EXCLUSIVE, row=True)
    transaction.commit()
    again = transaction
    assert not again.has_writes
    assert again.start_timestamp == 11
    assert again.get(b"a") == b"1"


def test_transactions_of_a_manager_are_independent(manager: Any, cluster: Any) -> None:
    first, second = manager.begin(), manager.begin()
    first.put(b"a", b"1", Mode.EXCLUSIVE, row=True)
    assert second.get(b"a") is None
    second.put(b"b", b"2", Mode.EXCLUSIVE, row=True)
    assert cluster.readers == {first, second}
    first.commit()
    assert second.has_writes
    assert cluster.readers == {second}
    second.rollback()
    assert cluster.rows == {b"a": b"1"}
    assert not cluster.readers


def test_a_snapshot_is_given_back_whose_taking_was_cut_short(manager: Any, cluster: Any) -> None:
    transaction = manager.begin()
    cluster.interrupt = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        transaction.get(b"a")
    transaction.rollback()
    assert not cluster.readers


def test_rewind_takes_back_what_came_after_a_savepoint(manager: Any) -> None:
    transaction = manager.begin()
    transaction.begin_statement()
    transaction.put(b"a", b"1", Mode.EXCLUSIVE)
    savepoint = transaction.begin_statement()
    transaction.put(b"a", b"2", Mode.EXCLUSIVE)
    transaction.begin_statement()
    transaction.put(b"a", b"3", Mode.EXCLUSIVE)
    transaction.put(b"b", b"3", Mode.EXCLUSIVE)
    transaction.rewind(savepoint)
    transaction.begin_statement()
    assert list(transaction.scan(b"a", b"z")) == [(b"a", b"1")]
