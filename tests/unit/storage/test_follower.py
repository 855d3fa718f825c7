from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from dsql.rpc.boot import current_boot
from storage import follower as follower_module
from storage import replica_writer
from storage.environment import WritableEnvironment
from storage.follower import Follower
from storage.replica_writer import FollowerSettings


@pytest.fixture(autouse=True, params=[0.0, 1.0], ids=["thread", "loop"])
def where(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Apply what is held back in a thread, as if pages had to come from disk, or on the loop."""
    monkeypatch.setattr(replica_writer, "_QUICK_SECONDS", request.param)


@pytest.fixture(autouse=True)
def retry_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follower_module, "_RETRY_SECONDS", 0.01)


@contextlib.asynccontextmanager
async def following(
    directory: Path, journal: Any, *peers: Path, **options: Any
) -> AsyncIterator[Follower]:
    with ThreadPoolExecutor(1) as executor:
        settings = FollowerSettings(**options)
        follower = Follower("c", directory, peers, journal, executor, current_boot(), settings)
        task = asyncio.create_task(follower.run())
        try:
            async with asyncio.timeout(5):
                yield follower
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def commits(environment: WritableEnvironment) -> int:
    count: int = environment.environment.info()["last_txnid"]
    return count


async def test_replica_without_readers_applies_many_records_at_once(
    tmp_path: Path, journal: Any, feeder: Any
) -> None:
    async with following(tmp_path, journal, delay_seconds=0.05) as follower:
        environment = await follower.opened()
        before = commits(environment)
        for number in range(30):
            journal.append(feeder.record([(b"a", b"%d" % number)]))
            await asyncio.sleep(0)
        while environment.position.watermark < feeder.timestamp:
            await asyncio.sleep(0.01)
        assert commits(environment) - before < 5


async def test_waiting_is_served_before_the_delay(
    tmp_path: Path, journal: Any, feeder: Any
) -> None:
    async with following(tmp_path, journal, delay_seconds=60.0) as follower:
        journal.append(feeder.record([(b"a", b"1")]))
        environment = await follower.reach(feeder.timestamp)
        assert environment.position.sequence == 1


async def test_replica_behind_a_trimmed_journal_starts_from_a_peer(
    tmp_path: Path, journal: Any, feeder: Any, make_replica: Any
) -> None:
    for number in range(4):
        journal.append(feeder.record([(b"a", b"%d" % number)]))
    peer = make_replica()
    peer.applier.apply(journal.records[:3])
    peer.environment.checkpoints.take()
    journal.trimmed_below = 3
    async with following(tmp_path / "own", journal, peer.directory) as follower:
        environment = await follower.reach(feeder.timestamp)
        assert environment.position.sequence == 4


async def test_failed_apply_is_tried_again(
    tmp_path: Path, journal: Any, feeder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a full disk that somebody then makes room on."""
    grow = WritableEnvironment.grow
    failures = iter([OSError(28, "No space left on device")] * 2)

    def fail_twice(environment: WritableEnvironment) -> None:
        for error in failures:
            raise error
        grow(environment)

    monkeypatch.setattr(WritableEnvironment, "grow", fail_twice)
    async with following(tmp_path, journal) as follower:
        journal.append(feeder.record([(b"a%d" % number, bytes(500_000)) for number in range(5)]))
        environment = await follower.reach(feeder.timestamp)
        assert environment.position.sequence == 1


async def test_nobody_reads_an_environment_while_a_thread_enlarges_it(
    tmp_path: Path, journal: Any, feeder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was applied before: LMDB maps the file elsewhere."""
    grow, grows, may_end = WritableEnvironment.grow, threading.Event(), threading.Event()

    def grow_slowly(environment: WritableEnvironment) -> None:
        grows.set()
        may_end.wait(5)
        grow(environment)

    monkeypatch.setattr(WritableEnvironment, "grow", grow_slowly)
    async with following(tmp_path, journal) as follower:
        journal.append(feeder.record([(b"a", b"1")]))
        applied = feeder.timestamp
        await follower.reach(applied)
        journal.append(feeder.record([(b"a%d" % number, bytes(500_000)) for number in range(5)]))
        late = asyncio.create_task(follower.reach(feeder.timestamp))
        while not grows.is_set():
            await asyncio.sleep(0.001)
        early = asyncio.create_task(follower.reach(applied))
        for _ in range(10):
            await asyncio.sleep(0)
        assert not early.done()
        may_end.set()
        await early
        await late


async def test_reader_who_waits_gets_what_a_thread_is_applying_and_what_came_after(
    tmp_path: Path, journal: Any, feeder: Any
) -> None:
    """Held back records, then urgent ones while the first are being applied: in order, none twice."""
    async with following(tmp_path, journal, delay_seconds=0.001) as follower:
        environment = await follower.opened()
        for number in range(200):
            journal.append(feeder.record([(b"a%d" % (number % 7), b"%d" % number)]))
            if number % 20 == 19:
                await follower.reach(feeder.timestamp)
                assert environment.position.watermark >= feeder.timestamp
            elif number % 3 == 0:
                await asyncio.sleep(0.002)
        await follower.reach(feeder.timestamp)
        assert environment.position.sequence == 200


async def test_replica_whose_journal_fails_while_it_is_told_to_end_ends(
    tmp_path: Path, journal: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    follow = journal.follow

    async def fail(*arguments: Any) -> None:
        try:
            await follow(*arguments)
        except asyncio.CancelledError:
            raise RuntimeError("the journal was closed before") from None

    monkeypatch.setattr(journal, "follow", fail)
    with ThreadPoolExecutor(1) as executor:
        follower = Follower(
            "c", tmp_path, [], journal, executor, current_boot(), FollowerSettings()
        )
        task = asyncio.create_task(follower.run())
        await follower.opened()
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=5)
        assert done
        assert task.cancelled()


async def test_replica_that_cannot_be_opened_while_it_is_told_to_end_ends(
    tmp_path: Path, journal: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, told = threading.Event(), threading.Event()

    def refuse(*_: Any, **__: Any) -> None:
        asked.set()
        told.wait()
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(follower_module, "open_replica", refuse)
    with ThreadPoolExecutor(1) as executor:
        follower = Follower(
            "c", tmp_path, [], journal, executor, current_boot(), FollowerSettings()
        )
        task = asyncio.create_task(follower.run())
        await asyncio.to_thread(asked.wait)
        task.cancel()
        await asyncio.sleep(0)
        told.set()
        done, _ = await asyncio.wait([task], timeout=5)
        assert done
        assert task.cancelled()
