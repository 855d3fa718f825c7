"""Every transaction is metered once, wherever it runs and however it ends."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from dsql.errors import SqlError
from dsql.transaction.interface import Conflict, Mode
from dsql.transaction.manager import TransactionManager
from dsql.transaction.usage import COUNT_MAX, Usage


def test_read_only_transaction_is_charged_for_what_it_read_or_the_least(
    manager: Any, cluster: Any, usage: Usage
) -> None:
    cluster.rows = {b"a": bytes(100), b"b": bytes(5_000)}
    for key in (b"a", b"b"):
        transaction = manager.begin()
        transaction.get(key)
        transaction.rollback()
    manager.begin().rollback()  # has done nothing
    assert (usage.transactions, usage.read_only, usage.bytes_read) == (2, 2, 5_100)
    assert usage.read_bytes_charged == 2_048 + 5_000


def test_what_is_read_from_a_snapshot_that_transactions_share_is_counted_once(
    manager: Any, cluster: Any, usage: Usage, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.rows = {b"a": bytes(3_000)}
    shared = cluster.snapshot(10, None)
    monkeypatch.setattr(cluster, "snapshot", lambda *_: shared)
    for traces in (False, True, False):
        transaction = manager.begin()
        if traces:
            transaction.trace_reads()
        transaction.get(b"a")
        transaction.rollback()
    assert (usage.bytes_read, usage.read_surplus) == (9_000, 3 * (3_000 - 2_048))


def test_commit_is_charged_for_its_rows_and_timed(manager: Any, cluster: Any, usage: Usage) -> None:
    for rows in (1, 20):
        transaction = manager.begin()
        for number in range(rows):
            transaction.put(b"k%d" % number, b"v", Mode.EXCLUSIVE, row=True)
        transaction.commit()
    del cluster
    assert (usage.transactions, usage.written, sum(usage.commits)) == (2, 2, 2)
    assert usage.write_bytes_charged == 1_024 + 20 * 128


def test_lost_conflict_is_counted_and_nothing_of_it_as_written(
    manager: Any, cluster: Any, usage: Usage
) -> None:
    cluster.outcome = Conflict(schema=False)
    transaction = manager.begin()
    transaction.put(b"a", b"v", Mode.EXCLUSIVE, row=True)
    with pytest.raises(SqlError):
        transaction.commit()
    assert (usage.conflicts, usage.transactions, usage.bytes_written) == (1, 1, 0)


def test_transaction_that_is_too_old_is_a_timeout(manager: Any, cluster: Any, usage: Usage) -> None:
    transaction = manager.begin()
    transaction.get(b"a")
    cluster.seconds = 301.0
    with pytest.raises(SqlError):
        transaction.begin_statement()
    assert usage.timeouts == 1


def test_transaction_that_moves_is_counted_where_it_ends(cluster: Any) -> None:
    cluster.rows = {b"a": bytes(100)}
    usages = Usage(), Usage()
    here, there = (
        TransactionManager(cluster, cluster, cluster, usage=usage).begin() for usage in usages
    )
    here.get(b"a")
    there.take_up(here.record())
    here.leave()
    there.commit()
    assert [usage.transactions for usage in usages] == [0, 1]
    assert [usage.bytes_read for usage in usages] == [100, 0]


def test_transaction_that_stays_though_its_record_was_made_is_counted(
    manager: Any, usage: Usage
) -> None:
    transaction = manager.begin()
    transaction.get(b"a")
    transaction.record()
    transaction.commit()
    assert usage.transactions == 1


def test_what_is_taken_and_added_elsewhere_is_neither_lost_nor_counted_twice() -> None:
    usage, total = Usage(), Usage()
    for seconds in (0.0005, 0.004, 100.0):
        usage.transactions += 1
        usage.committed(10, 1, seconds)
        total.add(usage.take())
    assert not usage
    assert (total.transactions, total.written, total.commits[0], total.commits[-1]) == (3, 3, 1, 1)
    assert (total.commit_seconds(0.5), total.commit_seconds(0.3)) == (0.005, 0.001)
    assert Usage().commit_seconds(0.5) == 0.0


def test_no_count_grows_beyond_what_can_be_read_back() -> None:
    total = Usage(transactions=COUNT_MAX)
    total.add(Usage(transactions=COUNT_MAX))
    assert msgspec.json.decode(msgspec.json.encode(total), type=Usage) == total
