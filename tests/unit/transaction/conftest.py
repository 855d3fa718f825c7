"""A cluster of one dictionary: what a transaction needs around it, without processes or files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import msgspec
import pytest

from dsql.transaction.interface import CommitOutcome, Committed, WriteSet
from dsql.transaction.manager import TransactionManager
from dsql.transaction.usage import Usage


@dataclass
class DictionarySnapshot:
    timestamp: int
    rows: dict[bytes, bytes]
    bytes_read: int = 0

    def is_outdated(self, keys: object, since: int) -> bool:
        return False

    def get(self, key: bytes) -> bytes | None:
        value = self.rows.get(key)
        self.bytes_read += len(value or b"")
        return value

    def may_have(self, keys: Iterable[bytes]) -> bool:
        return any(key in self.rows for key in keys)

    def scan(
        self, low: bytes, high: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        yield from sorted(
            ((key, value) for key, value in self.rows.items() if low <= key < high), reverse=reverse
        )


@dataclass
class Cluster:
    """Replica, committer and clock in one."""

    rows: dict[bytes, bytes] = field(default_factory=dict)
    now: int = 10
    seconds: float = 0.0
    snapshots: int = 0
    released: int = 0
    readers: set[object] = field(default_factory=set)
    interrupt: BaseException | None = None  # raised once, when the snapshot is taken
    committed: list[WriteSet] = field(default_factory=list)
    outcome: CommitOutcome | None = None

    def latest(self) -> int:
        return self.now

    def snapshot(self, timestamp: int, reader: object) -> DictionarySnapshot:
        self.snapshots += 1
        self.readers.add(reader)
        if self.interrupt is not None:
            raise self.interrupt
        return DictionarySnapshot(timestamp, dict(self.rows))

    def release(self, reader: object) -> None:
        self.released += 1
        self.readers.discard(reader)

    def commit(self, encoded: bytes, transaction_id: bytes, premises: bytes = b"") -> CommitOutcome:
        write_set = msgspec.msgpack.decode(encoded, type=WriteSet)
        assert write_set.transaction_id == transaction_id
        self.committed.append(write_set)
        if self.outcome is not None:
            return self.outcome
        self.now += 1
        for key, _mode, value in write_set.writes:
            if value is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = value
        return Committed(self.now)


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def usage() -> Usage:
    return Usage()


@pytest.fixture
def manager(cluster: Cluster, usage: Usage) -> TransactionManager:
    return TransactionManager(
        cluster, cluster, cluster, monotonic=lambda: cluster.seconds, usage=usage
    )
