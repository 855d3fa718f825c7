"""A leader over real sockets: what ails one replica, its own one included, does not stop the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from dsql.control.layout import ClusterRecord, Layout
from dsql.rpc.clock import SystemClock
from journal import server
from journal.appender import Appender, Attachment
from journal.codec import Message
from journal.followers import Quorum
from journal.messages import RecordKind
from journal.server import JournalServer

CLUSTER, AZS = "a" * 26, ["az1", "az2", "az3"]


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    monkeypatch.chdir(tmp_path)
    layout = Layout(Path())
    layout.cluster(CLUSTER).mkdir(parents=True)
    record = ClusterRecord(CLUSTER, "local", "e", "0", "dsql", AZS, 0.0)
    layout.record(CLUSTER).write_bytes(msgspec.json.encode(record))
    return layout


@asynccontextmanager
async def served(layout: Layout, *azs: str) -> AsyncIterator[None]:
    ready = {az: asyncio.Event() for az in azs}
    tasks = [asyncio.create_task(server.serve(layout, az, ready[az].set)) for az in azs]
    for event in ready.values():
        await event.wait()
    yield
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class Damaged:
    """The own replica of a zone whose disk is broken."""

    async def attach(self, cluster: str, receive: Callable[[Message], None]) -> Attachment:
        raise OSError(f"the log of {cluster} cannot be read")


@asynccontextmanager
async def leading(
    layout: Layout, own: object
) -> AsyncIterator[tuple[Appender, asyncio.Queue[int]]]:
    commits: asyncio.Queue[int] = asyncio.Queue()
    others = [layout.socket(f"{az}.journal") for az in AZS[1:]]
    appender = Appender(
        CLUSTER,
        "az1",
        [own, *others],  # type: ignore[list-item]
        commits.put_nowait,
        clock=SystemClock(),
        quorum=Quorum(),
        candidate=b"c" * 16,
    )
    running = asyncio.create_task(appender.run())
    yield appender, commits
    appender.resign()
    await running


async def test_zone_whose_own_journal_is_damaged_leads_with_the_others(layout: Layout) -> None:
    async with served(layout, *AZS[1:]), leading(layout, Damaged()) as (appender, commits):
        async with asyncio.timeout(10):
            opened = await commits.get()
            sequence = appender.append([(appender.leader.last_timestamp + 1, RecordKind.DATA, b"")])
            assert await commits.get() == sequence == opened + 1


async def test_leader_goes_on_when_its_own_journal_fails(layout: Layout) -> None:
    own = JournalServer(layout, AZS[0])
    async with served(layout, *AZS[1:]), leading(layout, own) as (appender, commits):
        async with asyncio.timeout(10):
            await commits.get()
            await own.close()
            sequence = appender.append([(appender.leader.last_timestamp + 1, RecordKind.DATA, b"")])
            assert await commits.get() == sequence


async def test_candidate_claims_above_what_its_own_journal_has_promised(layout: Layout) -> None:
    own = JournalServer(layout, AZS[0])
    async with served(layout, *AZS[1:]):
        for epoch in (1, 2):
            async with leading(layout, own) as (appender, commits), asyncio.timeout(10):
                await commits.get()
                assert appender.leader.epoch == epoch
    await own.close()
