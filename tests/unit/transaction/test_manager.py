"""Transactions over a real replica: encoded keys and rows, an applier, and a decider in this file."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from dsql.encoding import keycode, keyspace, rowcode
from dsql.errors import SqlError
from dsql.rpc.boot import current_boot
from dsql.rpc.clock import ClockPublisher, PublishedClock
from dsql.transaction.interface import CommitOutcome, Committed, Conflict, Mode, WriteSet
from dsql.transaction.manager import TransactionManager
from journal.messages import Record, RecordKind
from storage.applier import Applier
from storage.client import LocalReplica
from storage.environment import ENVIRONMENT, WritableEnvironment

TABLE, INT4, EPOCH = 16_384, 23, 1


class Decider:
    """An adjudicator, a journal and a feed: first committer wins, one record per commit."""

    def __init__(self, applier: Applier, clock: ClockPublisher) -> None:
        self._applier = applier
        self._clock = clock
        self._last_write: dict[bytes, int] = {}
        self._timestamp = 1_000
        clock.open(0)

    def commit(self, encoded: bytes, transaction_id: bytes, premises: bytes = b"") -> CommitOutcome:
        write_set = msgspec.msgpack.decode(encoded, type=WriteSet)
        for key, mode in [*write_set.checks, *(write[:2] for write in write_set.writes)]:
            if mode != Mode.BLIND and self._last_write.get(key, 0) > write_set.start_timestamp:
                return Conflict(schema=mode == Mode.CATALOG)
        self._timestamp += 1
        for key, _mode, _value in write_set.writes:
            self._last_write[key] = self._timestamp
        sequence = self._applier.position.sequence + 1
        record = Record(sequence, EPOCH, self._timestamp, RecordKind.DATA, encoded)
        self._applier.apply([record])
        self._clock.publish(self._timestamp)
        return Committed(self._timestamp)


@pytest.fixture
def managers(tmp_path: Path) -> Iterator[tuple[TransactionManager, TransactionManager]]:
    """Two query processors of one cluster."""
    environment = WritableEnvironment(tmp_path / ENVIRONMENT, current_boot())
    publisher = ClockPublisher(tmp_path / "clock", current_boot(), 0, 1)
    decider = Decider(Applier(environment, time.monotonic), publisher)
    clock = PublishedClock(tmp_path / "clock", current_boot())
    replicas = [LocalReplica([tmp_path]) for _ in range(2)]
    first, second = (TransactionManager(replica, decider, clock) for replica in replicas)
    yield first, second
    for replica in replicas:
        replica.close()
    clock.close()
    publisher.close()
    environment.close()


def key(number: int) -> bytes:
    return TABLE.to_bytes(4, "big") + keycode.encode(INT4, number)


def insert(manager: TransactionManager, *numbers: int) -> None:
    transaction = manager.begin()
    for number in numbers:
        value = rowcode.encode_row([number, f"row {number}"])
        transaction.put(key(number), value, Mode.EXCLUSIVE, row=True)
    transaction.commit()


def numbers(manager: TransactionManager) -> list[int]:
    rows = manager.begin().scan(*keyspace.keyspace_range(TABLE))
    return [rowcode.decode_row(value)[0] for _, value in rows]


def test_commit_is_seen_by_whoever_begins_after_it(
    managers: tuple[TransactionManager, ...],
) -> None:
    first, second = managers
    insert(first, 3, -1, 2)
    assert numbers(second) == [-1, 2, 3]
    insert(second, 0)
    assert numbers(first) == [-1, 0, 2, 3]


def test_open_transaction_keeps_its_snapshot(managers: tuple[TransactionManager, ...]) -> None:
    first, second = managers
    insert(first, 1)
    reading = second.begin()
    assert reading.get(key(2)) is None
    insert(first, 2)
    assert reading.get(key(2)) is None
    assert second.begin().get(key(2)) is not None


def test_second_writer_of_a_key_gets_40001(managers: tuple[TransactionManager, ...]) -> None:
    first, second = managers
    insert(first, 1)
    loser = second.begin()
    loser.put(key(1), b"lost", Mode.NON_KEY, row=True)
    insert(first, 1)
    with pytest.raises(SqlError) as caught:
        loser.commit()
    assert caught.value.sqlstate == "40001"
    again = second.begin()
    again.put(key(1), b"won", Mode.NON_KEY, row=True)
    again.commit()
    assert first.begin().get(key(1)) == b"won"


def test_outdated_catalog_version_is_a_schema_conflict(
    managers: tuple[TransactionManager, ...],
) -> None:
    first, second = managers
    version = keyspace.table_version_key(TABLE)
    writing = second.begin()
    writing.check(version, Mode.CATALOG)
    writing.put(key(1), b"", Mode.EXCLUSIVE, row=True)
    ddl = first.begin()
    ddl.put(version, b"2", Mode.EXCLUSIVE)
    ddl.commit()
    with pytest.raises(SqlError, match="OC001"):
        writing.commit()
