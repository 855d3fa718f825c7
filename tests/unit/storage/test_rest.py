"""A replica is open while somebody uses it, and closed whole when nobody does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from dsql.control.layout import Layout
from dsql.rpc.client import ask_status
from storage.client import LocalReplica, RemoteReplica
from storage.server import StorageServer, make_server, serve
from storage.use import SocketUse

from .test_server import CLUSTER, create_cluster


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("storage.server._LOOK_SECONDS", 0.05)
    created = Layout(Path())
    create_cluster(created)
    return created


@contextlib.asynccontextmanager
async def serving(layout: Layout, journal: Any) -> AsyncIterator[StorageServer]:
    ready = asyncio.Event()
    server = make_server(layout, "az1", journal)
    task = asyncio.create_task(serve(layout, "az1", ready.set, server))
    await ready.wait()
    try:
        yield server
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def is_told_of(layout: Layout) -> bool:
    status = await asyncio.to_thread(ask_status, layout.socket("az1.storage"))
    return any(name.startswith(CLUSTER) for name in status.values)


async def until(holds: Callable[[], Any]) -> None:
    async with asyncio.timeout(10):
        while not await holds():
            await asyncio.sleep(0.02)


async def at_rest(layout: Layout) -> None:
    async def rests() -> bool:
        return not await is_told_of(layout)

    await until(rests)


async def test_nothing_is_open_at_first(layout: Layout, journal: Any) -> None:
    async with serving(layout, journal):
        await asyncio.sleep(0.2)
        assert not await is_told_of(layout)


async def test_who_uses_a_cluster_again_and_again_finds_all_that_was_applied(
    layout: Layout, journal: Any, feeder: Any
) -> None:
    async with serving(layout, journal) as server:
        for number in range(3):
            server.use(CLUSTER)
            journal.append(feeder.record([(b"%d" % number, b"v")]))
            follower = server.follow(CLUSTER)
            assert follower is not None
            await follower.reach(feeder.timestamp)
            server.leave(CLUSTER)
            await at_rest(layout)
            reader = await asyncio.to_thread(LocalReplica, [layout.storage("az1", CLUSTER)])
            snapshot = await asyncio.to_thread(reader.snapshot, feeder.timestamp)
            assert len(list(snapshot.scan(b"0", b"9"))) == number + 1
            reader.close()


async def test_who_comes_while_it_is_being_closed_waits_for_that(
    layout: Layout, journal: Any, feeder: Any
) -> None:
    journal.append(feeder.record([(b"a", b"v")]))
    async with serving(layout, journal) as server:
        server.use(CLUSTER)
        follower = server.follow(CLUSTER)
        assert follower is not None
        await follower.reach(feeder.timestamp)
        leaving = asyncio.create_task(server._leave(CLUSTER))
        await asyncio.sleep(0)
        again = server.follow(CLUSTER)
        assert again is not None
        assert again is not follower
        assert (await again.reach(feeder.timestamp)).position.sequence == 1
        await leaving
        server.leave(CLUSTER)


async def test_a_reader_from_afar_keeps_it_open(layout: Layout, journal: Any, feeder: Any) -> None:
    journal.append(feeder.record([(b"a", b"v")]))
    async with serving(layout, journal):
        remote = RemoteReplica([layout.socket("az1.storage")], CLUSTER)
        get = remote.snapshot(feeder.timestamp).get
        for _ in range(4):
            assert await asyncio.to_thread(get, b"a") == b"v"
            await asyncio.sleep(0.1)
            assert await is_told_of(layout)
        remote.close()
        await at_rest(layout)


async def test_another_process_keeps_it_open_by_a_connection(layout: Layout, journal: Any) -> None:
    use = SocketUse(layout.socket("az1.storage"))
    use.use(CLUSTER)
    async with serving(layout, journal):  # which was not there before
        await until(lambda: is_told_of(layout))
        await asyncio.sleep(0.3)
        assert await is_told_of(layout)
        use.leave(CLUSTER)
        await at_rest(layout)
