from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dsql.control.layout import ClusterRecord, Layout
from dsql.errors import SqlError
from dsql.rpc.boot import current_boot
from dsql.rpc.client import ask_status
from dsql.rpc.clock import ClockPublisher
from storage.client import LocalReplica, RemoteReplica, open_cluster
from storage.replica_writer import FollowerSettings
from storage.server import make_server, serve

from .conftest import durable_sequence

CLUSTER = "abcdefghijklmnopqrstuvwxyz"


def create_cluster(layout: Layout) -> None:
    record = ClusterRecord(CLUSTER, "local", "", "", "dsql", ["az1", "az2"], 0.0)
    layout.cluster(CLUSTER).mkdir(parents=True)
    (layout.cluster(CLUSTER) / "cluster.json").write_bytes(msgspec.json.encode(record))


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    monkeypatch.chdir(tmp_path)
    return Layout(Path())


@contextlib.asynccontextmanager
async def serving(layout: Layout, journal: Any, **options: Any) -> AsyncIterator[None]:
    ready = asyncio.Event()
    server = make_server(layout, "az1", journal, FollowerSettings(**options))
    task = asyncio.create_task(serve(layout, "az1", ready.set, server))
    await ready.wait()
    server.use(CLUSTER)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_readers_on_this_host_see_what_the_journal_brings(
    layout: Layout, journal: Any, feeder: Any
) -> None:
    create_cluster(layout)
    async with serving(layout, journal):
        local = await asyncio.to_thread(LocalReplica, [layout.storage("az1", CLUSTER)])
        for number in range(20):
            journal.append(feeder.record([(b"a", b"%d" % number)]))
            snapshot = await asyncio.to_thread(local.snapshot, feeder.timestamp)
            assert snapshot.get(b"a") == b"%d" % number
        local.close()


async def test_waiting_reader_ends_the_delay(layout: Layout, journal: Any, feeder: Any) -> None:
    create_cluster(layout)
    async with serving(layout, journal, delay_seconds=30.0):
        local = await asyncio.to_thread(LocalReplica, [layout.storage("az1", CLUSTER)])
        journal.append(feeder.record([(b"a", b"1")]))
        await asyncio.sleep(0.05)
        assert local.watermark == 0
        async with asyncio.timeout(5):
            snapshot = await asyncio.to_thread(local.snapshot, feeder.timestamp)
        assert snapshot.get(b"a") == b"1"
        local.close()


async def test_cluster_that_appears_later_is_followed(
    layout: Layout, journal: Any, feeder: Any
) -> None:
    async with serving(layout, journal):
        create_cluster(layout)
        socket = layout.socket("az1.storage")
        located = await asyncio.to_thread(open_cluster, socket, CLUSTER)
        assert located.watermark == 0
        assert layout.storage("az1", CLUSTER).joinpath("environment", "board").exists()


async def test_remote_snapshot_equals_the_local_one(
    layout: Layout, journal: Any, feeder: Any
) -> None:
    create_cluster(layout)
    rows = [(b"%05d" % number, b"v%d" % number) for number in range(1_000)]
    journal.append(feeder.record([*rows, (b"x" * 900, b"long")]))
    async with serving(layout, journal):
        remote = RemoteReplica([layout.socket("az1.storage")], CLUSTER)
        snapshot = remote.snapshot(feeder.timestamp)

        def read_all() -> None:
            assert snapshot.get(b"00007") == b"v7"
            assert snapshot.get(b"none") is None
            assert list(snapshot.scan(b"0", b"1")) == rows
            assert list(snapshot.scan(b"00100", b"00900", reverse=True)) == rows[899:99:-1]
            assert list(snapshot.scan(b"x", b"y")) == [(b"x" * 900, b"long")]
            remote.release()
            remote.close()

        await asyncio.to_thread(read_all)


async def test_remote_replica_turns_to_the_next_server(
    layout: Layout, journal: Any, feeder: Any
) -> None:
    create_cluster(layout)
    journal.append(feeder.record([(b"a", b"1")]))
    async with serving(layout, journal):
        remote = RemoteReplica(
            [layout.socket("az2.storage"), layout.socket("az1.storage")], CLUSTER
        )
        assert await asyncio.to_thread(remote.snapshot(feeder.timestamp).get, b"a") == b"1"
        remote.close()


async def test_unknown_cluster_is_refused(layout: Layout, journal: Any) -> None:
    async with serving(layout, journal):
        with pytest.raises(SqlError):
            await asyncio.to_thread(open_cluster, layout.socket("az1.storage"), CLUSTER)


async def test_status_tells_the_watermark(layout: Layout, journal: Any, feeder: Any) -> None:
    create_cluster(layout)
    journal.append(feeder.record([(b"a", b"1")]))
    async with serving(layout, journal):
        socket = layout.socket("az1.storage")
        await asyncio.to_thread(open_cluster, socket, CLUSTER)
        remote = RemoteReplica([socket], CLUSTER)
        await asyncio.to_thread(remote.snapshot(feeder.timestamp).get, b"a")
        remote.close()
        status = await asyncio.to_thread(ask_status, socket)
        assert status.values[f"{CLUSTER}.watermark"] == feeder.timestamp
        assert status.values[f"{CLUSTER}.behind_seconds"] == 0
        clock = ClockPublisher(layout.clock(CLUSTER), current_boot(), 0, 2)
        clock.open(feeder.timestamp)
        clock.publish(feeder.timestamp + 70)
        clock.close()
        # From when it is first seen to lack what is published, by the monotonic clock.
        first = (await asyncio.to_thread(ask_status, socket)).values[f"{CLUSTER}.behind_seconds"]
        later = (await asyncio.to_thread(ask_status, socket)).values[f"{CLUSTER}.behind_seconds"]
        assert isinstance(first, float)
        assert isinstance(later, float)
        assert 0 <= first < later


async def test_checkpoint_is_written_and_told_to_the_journal(
    layout: Layout, journal: Any, feeder: Any
) -> None:
    create_cluster(layout)
    for number in range(3):
        journal.append(feeder.record([(b"a", b"%d" % number)]))
    async with serving(layout, journal, checkpoint_seconds=0.05), asyncio.timeout(5):
        while not journal.checkpoints:
            await asyncio.sleep(0.01)
    # But for the last record, by which the two are compared.
    assert journal.checkpoints[-1] == durable_sequence(layout.storage("az1", CLUSTER)) - 1 == 2


async def test_restarted_server_goes_on_after_its_last_record(
    layout: Layout, journal: Any, feeder: Any
) -> None:
    create_cluster(layout)
    for number in range(3):
        journal.append(feeder.record([(b"a", b"%d" % number)]))
        async with serving(layout, journal):
            remote = RemoteReplica([layout.socket("az1.storage")], CLUSTER)
            read = remote.snapshot(feeder.timestamp).get
            assert await asyncio.to_thread(read, b"a") == b"%d" % number
            remote.close()
