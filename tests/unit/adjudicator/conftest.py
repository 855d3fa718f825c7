"""A cluster of three AZs on one event loop, with real sockets and files."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import msgspec
import pytest

from adjudicator import server as adjudicator_server
from adjudicator.client import AdjudicatorClient, hello
from dsql.control.layout import ClusterRecord, Layout
from dsql.rpc.boot import current_boot
from dsql.rpc.client import connect_blocking
from dsql.rpc.clock import ClockUnavailableError, PublishedClock
from dsql.transaction.interface import Buried, CommitOutcome, Mode, WriteSet
from journal import server as journal_server
from journal.client import SocketJournal
from journal.messages import Record, RecordKind
from journal.server import JournalServer

AZS = ["az1", "az2", "az3"]
CLUSTER = "abcdefghijklmnopqrstuvwxyz"

encoder = msgspec.msgpack.Encoder()


def make_layout(root: Path) -> Layout:
    layout = Layout(root)
    layout.cluster(CLUSTER).mkdir(parents=True)
    record = ClusterRecord(CLUSTER, "local", "e", "0", "dsql", AZS, 0.0)
    (layout.cluster(CLUSTER) / "cluster.json").write_bytes(msgspec.json.encode(record))
    return layout


class Az:
    """Journal and adjudicator of one AZ; `stop` ends both, `start` begins a new life."""

    def __init__(
        self, layout: Layout, name: str, storage: adjudicator_server.Storage | None = None
    ) -> None:
        self.layout = layout
        self.name = name
        self.storage = storage
        self.journal: JournalServer | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        self.journal = JournalServer(self.layout, self.name)
        ready = [asyncio.Event(), asyncio.Event()]
        self._tasks = [
            asyncio.create_task(
                journal_server.serve(self.layout, self.name, ready[0].set, self.journal)
            ),
            asyncio.create_task(
                adjudicator_server.serve(
                    self.layout,
                    self.name,
                    ready[1].set,
                    self.journal,
                    self.journal,
                    storage=self.storage,
                    rest_seconds=adjudicator_server.REST_SECONDS,
                )
            ),
        ]
        for event in ready:
            await event.wait()

    async def stop(self) -> None:
        for task in reversed(self._tasks):
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self._tasks = []


class Fixture:
    def __init__(self, layout: Layout, storage: adjudicator_server.Storage | None = None) -> None:
        self.layout = layout
        self.azs = [Az(layout, name, storage) for name in AZS]

    def connect(self, az: str) -> tuple[str, socket.socket]:
        az = az or "az1"
        connected = connect_blocking(self.layout.socket(f"{az}.adjudicator"))
        connected.sendall(hello(CLUSTER))
        return az, connected

    def client(self, **options) -> AdjudicatorClient:
        return AdjudicatorClient(AZS, self.connect, **options)

    def latest(self) -> int:
        try:
            clock = PublishedClock(self.layout.clock(CLUSTER), current_boot())
        except ClockUnavailableError:
            return 0
        with closing(clock):
            return clock.latest()

    async def commit(self, client: AdjudicatorClient, write_set: WriteSet) -> CommitOutcome:
        """Commit; what was lost with a leader before it was decided on is sent again, as sessions do."""
        outcome: CommitOutcome = Buried()
        while isinstance(outcome, Buried):
            encoded = encoder.encode(write_set)
            outcome = await asyncio.to_thread(client.commit, encoded, write_set.transaction_id)
            write_set.transaction_id = os.urandom(16)
        return outcome

    async def data_records(self, az: str, count: int) -> list[Record]:
        """The first DATA records that a replica feeds, over its socket."""
        feed = SocketJournal(self.layout.socket(f"{az}.journal")).subscribe(CLUSTER, 1)
        found: list[Record] = []
        async for records in feed:
            found += [record for record in records if record.kind == RecordKind.DATA]
            if len(found) >= count:
                break
        await feed.aclose()
        return found

    @staticmethod
    def write_set(start: int, *keys: bytes, mode: Mode = Mode.EXCLUSIVE) -> WriteSet:
        return WriteSet(os.urandom(16), start, [], [(key, int(mode), b"v") for key in keys])

    @staticmethod
    async def eventually(condition, seconds: float = 5.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it did not happen in time"
            await asyncio.sleep(0.01)


@asynccontextmanager
async def running(
    root: Path, storage: adjudicator_server.Storage | None = None
) -> AsyncIterator[Fixture]:
    fixture = Fixture(make_layout(root), storage)
    for az in fixture.azs:
        await az.start()
    try:
        yield fixture
    finally:
        for az in fixture.azs:
            await az.stop()
        for _ in range(3):  # turns in which the loop lets go of who was just being accepted
            await asyncio.sleep(0)


@pytest.fixture
async def cluster(tmp_path, monkeypatch) -> AsyncIterator[Fixture]:
    monkeypatch.chdir(tmp_path)
    async with running(Path()) as fixture:
        yield fixture
