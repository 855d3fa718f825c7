"""Zones that look after their replicas: what is damaged is made anew while the others serve."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import os
import threading
import time
import weakref
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dsql.control.layout import ClusterRecord, Layout
from dsql.rpc.client import ask_status
from storage import follower as follower_module
from storage import server as server_module
from storage.client import LocalReplica, RemoteReplica
from storage.environment import ENVIRONMENT, DisorderError, WritableEnvironment
from storage.replica_writer import FollowerSettings
from storage.server import StorageServer, listen

CLUSTER = "abcdefghijklmnopqrstuvwxyz"
OTHER = "abcdefghijklmnopqrstuvwxy2"
ZONES = ["az1", "az2", "az3"]
ROWS = 3_000
WATCHED = {"scrub_seconds": 0.02, "scrub_share": 1.0, "checkpoint_seconds": 0.05}


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(follower_module, "_RETRY_SECONDS", 0.01)
    layout = Layout(Path())
    create_cluster(layout, CLUSTER)
    return layout


def create_cluster(layout: Layout, cluster: str) -> None:
    record = ClusterRecord(cluster, "local", "", "", "dsql", ZONES, 0.0)
    layout.cluster(cluster).mkdir(parents=True)
    layout.record(cluster).write_bytes(msgspec.json.encode(record))


@contextlib.asynccontextmanager
async def zones(layout: Layout, journal: Any, **options: Any) -> AsyncIterator[list[StorageServer]]:
    """The storage servers of three zones on this loop."""
    settings = FollowerSettings(**options)
    servers = [StorageServer(layout, az, journal, settings) for az in ZONES]
    listening = [
        await listen(
            layout.socket(f"{az}.storage"),
            lambda server=server: server_module._Connection(server),  # type: ignore[misc]
        )
        for az, server in zip(ZONES, servers, strict=True)
    ]
    try:
        async with asyncio.timeout(60):
            for server in servers:
                for cluster in layout.cluster_identifiers():
                    server.use(cluster)
            yield servers
    finally:
        for one in listening:
            one.close()
        for server in servers:
            await server.close()


def load(journal: Any, feeder: Any) -> None:
    for start in range(0, ROWS, 500):
        rows = [(b"k%06d" % number, b"right%d" % number) for number in range(start, start + 500)]
        journal.append(feeder.record(rows))


async def everywhere(servers: list[StorageServer], timestamp: int) -> None:
    for server in servers:
        follower = server.follow(CLUSTER)
        assert follower is not None
        await follower.reach(timestamp)


async def repaired(server: StorageServer) -> None:
    follower = server.follow(CLUSTER)
    assert follower is not None
    while not (follower.repaired and follower.is_open):
        await asyncio.sleep(0.01)


def values_in(layout: Layout, az: str) -> set[bytes]:
    data = layout.storage(az, CLUSTER) / ENVIRONMENT / "data.mdb"
    return {word for word in (b"right17", b"wrong17") if word in data.read_bytes()}


def change_letters(layout: Layout, az: str) -> None:
    """One row that looks like any other."""
    data = layout.storage(az, CLUSTER) / ENVIRONMENT / "data.mdb"
    with data.open("r+b") as file:
        content = file.read()
        at = content.index(b"right17")
        while at >= 0:
            file.seek(at)
            file.write(b"wrong")
            at = content.find(b"right17", at + 1)


async def test_changed_letter_is_found_and_repaired_from_the_peers(
    layout: Layout, journal: Any, feeder: Any
) -> None:
    load(journal, feeder)
    async with zones(layout, journal, **WATCHED) as servers:
        await everywhere(servers, feeder.timestamp)
        change_letters(layout, "az1")
        await repaired(servers[0])
        await everywhere(servers, feeder.timestamp)
        assert values_in(layout, "az1") == {b"right17"}
        socket = layout.socket("az1.storage")
        told = (await asyncio.to_thread(ask_status, socket)).values
        assert told[f"{CLUSTER}.repaired"] == 1
        assert told[f"{CLUSTER}.damaged"] == 0


@pytest.mark.parametrize("years", [10, -10])
async def test_wall_clock_that_steps_again_and_again_delays_nothing(
    layout: Layout, journal: Any, feeder: Any, monkeypatch: pytest.MonkeyPatch, years: int
) -> None:
    """Checkpoints, collection, the look for damage: all are done by elapsed time."""
    steps = itertools.count()
    monkeypatch.setattr(time, "time", lambda: 1.8e9 + next(steps) % 2 * years * 3.15e7)
    load(journal, feeder)
    async with zones(layout, journal, grace_seconds=0.05, **WATCHED) as servers:
        feeder.timestamp += 10 * 31_536_000_000_000
        load(journal, feeder)
        await everywhere(servers, feeder.timestamp)
        taken = len(journal.checkpoints)
        change_letters(layout, "az1")
        await repaired(servers[0])
        environment = await servers[1].follow(CLUSTER).reach(feeder.timestamp)  # type: ignore[union-attr]
        while len(journal.checkpoints) == taken or has_undo(environment):
            await asyncio.sleep(0.01)
        told = await servers[0].status()
        assert told.values[f"{CLUSTER}.behind_seconds"] == 0


def has_undo(environment: WritableEnvironment) -> bool:
    with environment.environment.begin() as transaction:
        return bool(transaction.stat(environment.databases.undo)["entries"])


async def test_readers_are_served_while_a_damaged_replica_is_made_anew(
    layout: Layout, journal: Any, feeder: Any
) -> None:
    load(journal, feeder)
    async with zones(layout, journal, **WATCHED) as servers:
        await everywhere(servers, feeder.timestamp)
        reader = await asyncio.to_thread(
            LocalReplica, [layout.storage(az, CLUSTER) for az in ZONES]
        )
        change_letters(layout, "az1")
        reads = 0
        while not servers[0].follow(CLUSTER).repaired:  # type: ignore[union-attr]
            snapshot = await asyncio.to_thread(reader.snapshot, feeder.timestamp)
            assert snapshot.get(b"k000016") == b"right16"
            reads += 1
            await asyncio.sleep(0.005)
        assert reads
        reader.close()


async def test_a_cluster_is_served_while_anothers_replica_is_made_anew(
    layout: Layout, journal: Any, feeder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long that takes: here it stands still."""
    begun, let_go = threading.Event(), threading.Event()
    opened = follower_module.open_replica

    def opened_later(directory: Path, *arguments: Any, **options: Any) -> WritableEnvironment:
        if options["must_restore"]:
            assert directory == layout.storage("az1", CLUSTER)
            begun.set()
            assert let_go.wait(60)
        return opened(directory, *arguments, **options)

    monkeypatch.setattr(follower_module, "open_replica", opened_later)
    create_cluster(layout, OTHER)
    load(journal, feeder)
    async with zones(layout, journal, **WATCHED) as servers:
        await everywhere(servers, feeder.timestamp)
        change_letters(layout, "az1")
        assert await asyncio.to_thread(begun.wait, 60)
        journal.append(feeder.record([(b"k000017", b"new")]))
        reader = await asyncio.to_thread(LocalReplica, [layout.storage("az1", OTHER)])
        snapshot = await asyncio.to_thread(reader.snapshot, feeder.timestamp)
        assert snapshot.get(b"k000017") == b"new"
        remote = RemoteReplica([layout.socket("az1.storage")], OTHER)
        get = remote.snapshot(feeder.timestamp).get
        assert await asyncio.to_thread(get, b"k000016") == b"right16"
        assert not servers[0].follow(CLUSTER).is_open  # type: ignore[union-attr]
        let_go.set()
        remote.close()
        reader.close()
        await repaired(servers[0])


async def test_row_that_two_others_see_otherwise_is_repaired(
    layout: Layout, journal: Any, feeder: Any
) -> None:
    """A write that one replica has lost: all of its pages and rows look right."""
    load(journal, feeder)
    async with zones(layout, journal, **WATCHED) as servers:
        await everywhere(servers, feeder.timestamp)
        environment = await servers[1].follow(CLUSTER).opened()  # type: ignore[union-attr]
        with environment.environment.begin(write=True) as transaction:
            transaction.delete(b"k001234", db=environment.databases.main)
        await repaired(servers[1])
        await everywhere(servers, feeder.timestamp)
        remote = RemoteReplica([layout.socket("az2.storage")], CLUSTER)
        get = remote.snapshot(feeder.timestamp).get
        assert await asyncio.to_thread(get, b"k001234") == b"right1234"
        remote.close()
        assert not servers[0].follow(CLUSTER).repaired  # type: ignore[union-attr]


async def test_remote_reader_of_a_damaged_replica_is_sent_to_the_next(
    layout: Layout, journal: Any, feeder: Any
) -> None:
    load(journal, feeder)
    async with zones(layout, journal, scrub_seconds=1e6) as servers:
        await everywhere(servers, feeder.timestamp)
        data = layout.storage("az1", CLUSTER) / ENVIRONMENT / "data.mdb"
        with data.open("r+b") as file:
            pages = bytearray(file.read())
            for start in range(2 * 4096, len(pages), 4096):
                pages[start + 10 : start + 12] = b"\x04\x00"
            file.seek(0)
            file.write(pages)
        remote = RemoteReplica([layout.socket(f"{az}.storage") for az in ZONES], CLUSTER)
        get = remote.snapshot(feeder.timestamp).get
        assert await asyncio.to_thread(get, b"k000016") == b"right16"
        remote.close()
        await repaired(servers[0])


async def test_remote_reader_is_not_given_a_changed_letter(
    layout: Layout, journal: Any, feeder: Any
) -> None:
    load(journal, feeder)
    async with zones(layout, journal, scrub_seconds=1e6) as servers:
        await everywhere(servers, feeder.timestamp)
        change_letters(layout, "az1")
        remote = RemoteReplica([layout.socket(f"{az}.storage") for az in ZONES], CLUSTER)
        snapshot = remote.snapshot(feeder.timestamp)
        rows = await asyncio.to_thread(lambda: dict(snapshot.scan(b"k000000", b"k000020")))
        assert rows[b"k000017"] == b"right17"
        remote.close()
        await repaired(servers[0])


@pytest.mark.parametrize("count", [1, 2, 50])
@pytest.mark.parametrize("epoch", [1, 2])
async def test_replica_ahead_of_its_journal_is_made_anew(
    layout: Layout, journal: Any, feeder: Any, count: int, epoch: int
) -> None:
    """At once, whether or not the journal has grown as long again."""
    load(journal, feeder)
    async with zones(layout, journal) as servers:
        await everywhere(servers, feeder.timestamp)
        kept = feeder.sequence
        lost = [feeder.record([(b"lost", b"%d" % number)]) for number in range(count)]
        servers[0].follow(CLUSTER)._open.result().receive(lost)  # type: ignore[union-attr]
        await servers[0].follow(CLUSTER).reach(lost[-1].timestamp)  # type: ignore[union-attr]
    feeder.sequence = kept
    other = feeder.record([(b"other", b"1")])
    journal.append(msgspec.structs.replace(other, epoch=epoch))
    async with zones(layout, journal) as servers:
        await everywhere(servers, feeder.timestamp)
        remote = RemoteReplica([layout.socket("az1.storage")], CLUSTER)
        rows = remote.snapshot(feeder.timestamp).scan
        found = await asyncio.to_thread(lambda: dict(rows(b"l", b"z")))
        assert found == {b"other": b"1"}
        remote.close()
        assert servers[0].follow(CLUSTER).repaired == 1  # type: ignore[union-attr]


async def test_file_shrinks_when_most_of_it_is_free(
    layout: Layout, journal: Any, feeder: Any
) -> None:
    data = layout.storage("az1", CLUSTER) / ENVIRONMENT / "data.mdb"
    options = {"spare_bytes": 1 << 20, "checkpoint_seconds": 0.05, "grace_seconds": 0.05}
    async with zones(layout, journal, **options) as servers:
        rows = [b"k%06d" % number for number in range(40)]
        journal.append(feeder.record([(key, bytes(200_000)) for key in rows]))
        await everywhere(servers, feeder.timestamp)
        size = large = data.stat().st_size
        while size > large // 4:
            journal.append(feeder.record([(key, b"small") for key in rows]))
            await asyncio.sleep(0.05)
            with contextlib.suppress(FileNotFoundError):  # another one takes its place just now
                await everywhere(servers, feeder.timestamp)
                size = data.stat().st_size
        remote = RemoteReplica([layout.socket("az1.storage")], CLUSTER)
        rows_of = remote.snapshot(feeder.timestamp).scan
        found = await asyncio.to_thread(lambda: dict(rows_of(b"k", b"l")))
        assert found == dict.fromkeys(rows, b"small")
        remote.close()


async def test_closed_connection_leaves_no_cycle_behind(
    layout: Layout, journal: Any, feeder: Any
) -> None:
    """Zones do not collect cycles."""
    load(journal, feeder)
    kept: list[weakref.ref[Any]] = []
    connect = server_module._Connection.__init__

    def note(connection: Any, *arguments: Any) -> None:
        kept.append(weakref.ref(connection))
        connect(connection, *arguments)

    async with zones(layout, journal) as servers:
        await everywhere(servers, feeder.timestamp)
        gc.collect()
        gc.disable()
        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(server_module._Connection, "__init__", note)
                for _ in range(3):
                    remote = RemoteReplica([layout.socket("az1.storage")], CLUSTER)
                    read = remote.snapshot(feeder.timestamp).get
                    assert await asyncio.to_thread(read, b"k000001") == b"right1"
                    remote.close()
                deadline = time.monotonic() + 5
                while any(one() is not None for one in kept) and time.monotonic() < deadline:
                    await asyncio.sleep(0.01)
        finally:
            gc.enable()
        assert kept
        assert [one() for one in kept] == [None] * 3


class LoopTime:
    """The processor time that each callback of the event loop takes: a busy machine adds little to that.

    `longest` has it in seconds by what was called, if it was more than a millisecond. What waits for disks,
    `BLOCKING`, is not to be called on the loop at all; `blocked` says what was.
    """

    BLOCKING = ("fsync", "fdatasync", "posix_fallocate")

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.longest: dict[str, float] = {}
        self.blocked: set[str] = set()
        self._thread = threading.get_ident()
        run = asyncio.events.Handle._run

        def timed(handle: asyncio.Handle) -> None:
            began = time.thread_time()
            run(handle)
            self._note(handle._callback, time.thread_time() - began)  # type: ignore[attr-defined]

        patch.setattr(asyncio.events.Handle, "_run", timed)
        for name in self.BLOCKING:
            patch.setattr(os, name, self._watched(name, getattr(os, name)))

    def _note(self, callback: Any, seconds: float) -> None:
        if seconds > 0.001:
            task = getattr(callback, "__self__", None)
            place = task.get_coro() if isinstance(task, asyncio.Task) else callback
            name = getattr(place, "__qualname__", repr(place))
            self.longest[name] = max(seconds, self.longest.get(name, 0.0))

    def _watched(self, name: str, call: Any) -> Any:
        def watched(*arguments: Any, **named: Any) -> Any:
            if threading.get_ident() == self._thread:
                self.blocked.add(name)
            return call(*arguments, **named)

        return watched


async def work(layout: Layout, journal: Any, feeder: Any) -> None:
    """Write, grow, take checkpoints, delete, scrub, compare, copy and shrink."""
    options = {"spare_bytes": 1 << 20, "grace_seconds": 0.5} | WATCHED | {"scrub_share": 0.1}
    rows = [b"k%06d" % number for number in range(8_000)]
    async with zones(layout, journal, **options) as servers:
        for value in (bytes(500), bytes(900), None, b"small"):
            for start in range(0, len(rows), 1_000):
                some = [(key, value) for key in rows[start : start + 1_000]]
                journal.append(feeder.record(some))
                await asyncio.sleep(0.001)
            await everywhere(servers, feeder.timestamp)
            await scrubbed(servers)  # and compared
        servers[2].follow(CLUSTER).condemn(DisorderError("for the test"))  # type: ignore[union-attr]
        await repaired(servers[2])
        await everywhere(servers, feeder.timestamp)


async def scrubbed(servers: list[StorageServer]) -> None:
    followers = [server.follow(CLUSTER) for server in servers]
    before = [follower.scrubbed_at for follower in followers]  # type: ignore[union-attr]
    while any(
        follower.scrubbed_at == seen  # type: ignore[union-attr]
        for follower, seen in zip(followers, before, strict=True)
    ):
        await asyncio.sleep(0.01)


async def test_nothing_keeps_the_loop_whatever_is_written_copied_or_grows(
    layout: Layout, journal: Any, feeder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Zones do not collect cycles."""
    gc.disable()
    try:
        loop_time = LoopTime(monkeypatch)
        await work(layout, journal, feeder)
    finally:
        gc.enable()
    assert {name: took for name, took in loop_time.longest.items() if took > 0.01} == {}
    assert loop_time.blocked == set()
