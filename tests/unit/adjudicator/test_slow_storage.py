"""Writers whose zones' storage is slower than the journal: real journals, storage that obeys or is real."""

from __future__ import annotations

import asyncio
import os
import time

import pytest

from adjudicator import admission
from dsql.rpc.client import ask_status
from dsql.transaction.interface import Behind, Committed, Mode, WriteSet
from journal.appender import LOOK_SECONDS
from storage.applier import Applier
from storage.replica_writer import FollowerSettings
from storage.server import StorageServer

CLUSTER = "abcdefghijklmnopqrstuvwxyz"
VALUE = bytes(16 * 1024)
WRITERS, COMMITS = 4, 40
PACE_SECONDS = 0.02  # between two commits of a writer
LOW, HIGH = 32 * 1024, 512 * 1024  # of 2.5 MiB that are written
# What they can write between two looks at storage, and have under way; looks may be late three times.
AT_ONCE = WRITERS * len(VALUE) * (4 * LOOK_SECONDS / PACE_SECONDS + 2)
EVERYTHING = 1 << 60
SLOW_BYTES_PER_SECOND = 1024 * 1024  # they write three times as much


class Storages:
    """What stands in the place of the zones' storage. `applied`: by zone, as it is told."""

    def __init__(self, cluster) -> None:
        self.applied = dict.fromkeys((az.name for az in cluster.azs), EVERYTHING)
        self.tasks = [
            asyncio.create_task(
                az.journal.follow(CLUSTER, 1, lambda _: None, lambda az=az: self.applied[az.name])
            )
            for az in cluster.azs
        ]


@pytest.fixture
def low_marks(monkeypatch):
    monkeypatch.setattr(admission, "BYTES_LOW", LOW)
    monkeypatch.setattr(admission, "BYTES_HIGH", HIGH)


class SlowDisk:
    """What storage writes to. `applied`: bytes, by the replica's directory."""

    def __init__(self, monkeypatch) -> None:
        self.applied: dict[object, int] = {}
        apply = Applier.apply

        def apply_slowly(applier: Applier, records) -> int:
            size = sum(len(record.payload) for record in records)
            time.sleep(size / SLOW_BYTES_PER_SECOND)
            versions = apply(applier, records)
            directory = applier._environment.directory
            self.applied[directory] = self.applied.get(directory, 0) + size
            return versions

        monkeypatch.setattr(Applier, "apply", apply_slowly)

    @property
    def applied_by_a_majority(self) -> int:
        return sorted([0, 0, *self.applied.values()])[-2]


@pytest.fixture
async def servers(cluster, low_marks):
    settings = FollowerSettings()
    servers = [StorageServer(cluster.layout, az.name, az.journal, settings) for az in cluster.azs]
    for server in servers:
        server.follow(CLUSTER)
    yield servers
    for server in servers:
        await server.close()


@pytest.fixture
async def storages(cluster, low_marks):
    storages = Storages(cluster)
    yield storages
    for task in storages.tasks:
        task.cancel()
    await asyncio.gather(*storages.tasks, return_exceptions=True)


async def told(cluster, name: str) -> object:
    reply = await asyncio.to_thread(ask_status, cluster.layout.socket("az1.adjudicator"))
    return reply.values.get(f"{CLUSTER}.{name}")


async def write(cluster, writer: int, outcomes: list[object], count: int = COMMITS) -> None:
    client = await asyncio.to_thread(cluster.client)
    for number in range(count):
        key = b"%d/%d" % (writer, number)
        write_set = WriteSet(os.urandom(16), 0, [], [(key, int(Mode.EXCLUSIVE), VALUE)])
        outcomes.append(await cluster.commit(client, write_set))
        await asyncio.sleep(PACE_SECONDS)
    client.close()


async def all_written(cluster, outcomes: list[object] | None = None) -> list[object]:
    outcomes = [] if outcomes is None else outcomes
    await asyncio.gather(*(write(cluster, writer, outcomes) for writer in range(WRITERS)))
    return outcomes


async def test_storage_that_stands_still_stops_writers_before_the_journal_has_run_away(
    cluster, storages
):
    storages.applied |= {"az2": 0, "az3": 0}
    writing = asyncio.create_task(all_written(cluster))
    async with asyncio.timeout(admission.HOLD_SECONDS - 1):
        while await told(cluster, "admitted_bytes_per_second") != 0:
            assert not writing.done(), "nothing has slowed the writers down"
            await asyncio.sleep(0.02)
    assert await told(cluster, "throttled") == 1
    assert HIGH <= await told(cluster, "storage_behind_bytes") <= HIGH + AT_ONCE
    storages.applied = dict.fromkeys(storages.applied, EVERYTHING)
    outcomes = await writing
    assert all(isinstance(outcome, Committed) for outcome in outcomes)
    assert len(await cluster.data_records("az1", WRITERS * COMMITS)) == WRITERS * COMMITS
    assert await told(cluster, "throttled") == 0


async def test_one_zone_whose_storage_stands_still_slows_nobody_down(cluster, storages):
    storages.applied["az1"] = 0
    outcomes = await all_written(cluster)
    assert all(isinstance(outcome, Committed) for outcome in outcomes)
    assert await told(cluster, "throttled") == 0


async def test_commit_that_has_waited_for_long_is_refused_and_nothing_was_done(
    cluster, storages, monkeypatch
):
    monkeypatch.setattr(admission, "HOLD_SECONDS", 0.2)
    monkeypatch.setattr(admission, "BYTES_HIGH", LOW + 1)
    storages.applied |= {"az2": 0, "az3": 0}
    outcomes = []
    while Behind() not in outcomes:
        await write(cluster, len(outcomes), outcomes, 1)
    storages.applied = dict.fromkeys(storages.applied, EVERYTHING)
    while not isinstance(outcomes[-1], Committed):
        await write(cluster, len(outcomes), outcomes, 1)
    committed = sum(isinstance(outcome, Committed) for outcome in outcomes)
    records = await cluster.data_records("az1", committed)
    assert [record.timestamp for record in records] == [
        outcome.timestamp for outcome in outcomes if isinstance(outcome, Committed)
    ]


async def test_real_storage_on_a_slow_disk_slows_writers_down_and_ends_none_of_them(
    cluster, servers, monkeypatch
):
    monkeypatch.setattr(admission, "HOLD_SECONDS", 60.0)
    disk, outcomes, furthest, rates = SlowDisk(monkeypatch), [], 0, set()
    writing = asyncio.create_task(all_written(cluster, outcomes))
    while not writing.done():
        rates.add(await told(cluster, "admitted_bytes_per_second"))
        furthest = max(furthest, len(outcomes) * len(VALUE) - disk.applied_by_a_majority)
    assert await writing == outcomes
    assert all(isinstance(outcome, Committed) for outcome in outcomes)
    assert LOW < furthest <= HIGH + AT_ONCE
    assert rates - {None, -1}, "nothing has slowed the writers down"
    for server in servers:
        replica = await server.follow(CLUSTER).reach(cluster.latest())
        with replica.environment.begin() as transaction:
            assert transaction.stat(replica.databases.main)["entries"] == len(outcomes)
