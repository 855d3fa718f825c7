"""Replicas in a temporary directory, fed by hand."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import lmdb
import msgspec
import pytest

from dsql.rpc.boot import current_boot
from dsql.transaction.interface import Mode, WriteSet
from journal.client import JournalTrimmedError
from journal.messages import Record, RecordKind
from storage.applier import Applier
from storage.checkpoint import read_checkpoint
from storage.environment import ENVIRONMENT, WritableEnvironment

Writes = list[tuple[bytes, bytes | None]]


def durable_sequence(replica: Path) -> int:
    """Return the record up to which a replica survives the machine."""
    checkpoint = read_checkpoint(replica / ENVIRONMENT)
    return checkpoint.position.sequence if checkpoint else 0


class Feeder:
    """Makes journal records; timestamps rise by 10."""

    def __init__(self) -> None:
        self.sequence = 0
        self.timestamp = 1_000

    def record(self, writes: Writes) -> Record:
        self.sequence += 1
        self.timestamp += 10
        write_set = WriteSet(
            bytes(16), 0, [], [(key, int(Mode.EXCLUSIVE), value) for key, value in writes]
        )
        payload = msgspec.msgpack.encode(write_set)
        return Record(self.sequence, 1, self.timestamp, RecordKind.DATA, payload)

    def heartbeat(self) -> Record:
        self.sequence += 1
        self.timestamp += 10
        return Record(self.sequence, 1, self.timestamp, RecordKind.HEARTBEAT, b"")


class Replica:
    """A replica without a server: an applier over an environment, with a clock that is set by hand."""

    def __init__(self, directory: Path, map_bytes: int) -> None:
        self.directory = directory
        self.seconds = 0.0
        self.is_closed = False  # the test has closed it
        self.feeder = Feeder()
        self.use(
            WritableEnvironment(
                directory / ENVIRONMENT,
                current_boot(),
                map_bytes=map_bytes,
                monotonic=lambda: self.seconds,
            )
        )

    def use(self, environment: WritableEnvironment) -> None:
        """Go on with another environment."""
        self.environment = environment
        self.applier = Applier(
            environment, lambda: self.seconds, grace_seconds=5.0, age_limit_seconds=300.0
        )

    def close(self) -> None:
        """Close the environment before the test is over."""
        self.environment.close()
        self.is_closed = True

    def apply(self, *transactions: Writes) -> int:
        """Apply transactions in one batch; return the last timestamp."""
        self.apply_records([self.feeder.record(writes) for writes in transactions])
        return self.feeder.timestamp

    def apply_records(self, records: list[Record]) -> None:
        """Apply records in one batch."""
        self.growing(lambda: self.applier.apply(records))

    def growing(self, work: Callable[[], object]) -> None:
        """Do something, growing if need be."""
        while True:
            try:
                work()
                return
            except lmdb.MapFullError:
                self.environment.grow()

    def rows(self) -> dict[bytes, bytes]:
        """Return every database's content."""
        environment = self.environment
        databases = environment.databases
        found = {}
        with environment.environment.begin() as transaction:
            for name in ("main", "undo"):
                cursor = transaction.cursor(db=getattr(databases, name))
                found |= {name.encode() + bytes(key): bytes(value) for key, value in cursor}
        return found

    def pass_time(self, seconds: float) -> None:
        """Let time pass, with a round of garbage collection each second."""
        for _ in range(int(seconds)):
            self.seconds += 1
            self.growing(lambda: self.applier.collect(10_000))

    def count(self, name: str) -> int:
        """Return how many entries one of the databases has."""
        database = getattr(self.environment.databases, name)
        with self.environment.environment.begin() as transaction:
            entries: int = transaction.stat(database)["entries"]
            return entries


class FakeJournal:
    """A journal of records in a list."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.trimmed_below = 1
        self.checkpoints: list[int] = []
        self._grown = asyncio.Event()

    def append(self, record: Record) -> None:
        self.records.append(record)
        self._grown.set()

    async def follow(
        self,
        cluster: str,
        from_sequence: int,
        receive: Callable[[list[Record]], None],
        applied: Callable[[], int],
    ) -> None:
        while not self.records:
            await self._wait()
        async for records in self.subscribe(cluster, min(from_sequence, len(self.records))):
            receive(records)

    async def subscribe(self, cluster: str, from_sequence: int) -> AsyncIterator[list[Record]]:
        if from_sequence < self.trimmed_below:
            raise JournalTrimmedError
        position = from_sequence - 1
        while True:
            if position < len(self.records):
                yield self.records[position:]
                position = len(self.records)
            await self._wait()

    async def _wait(self) -> None:
        self._grown.clear()
        await self._grown.wait()

    async def checkpoint(self, cluster: str, sequence: int) -> None:
        self.checkpoints.append(sequence)

    async def locate(self, cluster: str, timestamp: int) -> int:
        return 1


@pytest.fixture
def make_replica(tmp_path: Path) -> Iterator[Callable[..., Replica]]:
    made: list[Replica] = []
    numbers = itertools.count()

    def make(map_bytes: int = 1 << 20) -> Replica:
        replica = Replica(tmp_path / f"replica{next(numbers)}", map_bytes)
        made.append(replica)
        return replica

    yield make
    for replica in made:
        if not replica.is_closed:
            replica.environment.close()


@pytest.fixture
def replica(make_replica: Callable[..., Replica]) -> Replica:
    return make_replica()


@pytest.fixture
def feeder() -> Feeder:
    return Feeder()


@pytest.fixture
async def journal() -> FakeJournal:
    return FakeJournal()
