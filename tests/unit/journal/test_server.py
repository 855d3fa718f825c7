"""A zone's replicas of all clusters: which of them are new, and which are lost."""

from __future__ import annotations

import asyncio
import shutil

import msgspec
import pytest

from dsql.control.layout import ClusterRecord, Layout
from journal.client import ReplicaFailedError
from journal.server import JournalServer, UnknownClusterError

CLUSTER = "abcdefghijklmnopqrstuvwxyz"


@pytest.fixture
def layout(tmp_path) -> Layout:
    layout = Layout(tmp_path)
    layout.cluster(CLUSTER).mkdir(parents=True)
    record = ClusterRecord(CLUSTER, "local", "e", "0", "dsql", ["az1"], 0.0)
    layout.record(CLUSTER).write_bytes(msgspec.json.encode(record))
    return layout


async def lost(layout: Layout) -> object:
    """What a newly started zone's status says."""
    server = JournalServer(layout, "az1")
    await server.host(CLUSTER)
    values = server.status().values
    await server.close()
    return values[f"{CLUSTER}.lost"]


async def test_log_of_a_new_cluster_is_whole_at_every_start(layout):
    assert [await lost(layout), await lost(layout)] == [0, 0]


async def test_log_that_is_missing_at_a_later_start_is_lost(layout):
    await lost(layout)
    shutil.rmtree(layout.journal("az1", CLUSTER))
    assert [await lost(layout), await lost(layout)] == [1, 1]


async def test_server_that_is_closed_while_it_opens_a_log_lets_go_of_it(layout):
    for turns in range(1, 5):
        server = JournalServer(layout, "az1")
        opening = asyncio.create_task(server.host(CLUSTER))
        for _ in range(turns):
            await asyncio.sleep(0)
        await server.close()
        await asyncio.gather(opening, return_exceptions=True)
    assert await lost(layout) == 0


async def test_log_of_no_cluster_is_not_opened(layout):
    with pytest.raises(UnknownClusterError):
        await JournalServer(layout, "az1").host("z" * 26)


async def test_server_that_is_closing_opens_no_log_any_more(layout):
    server = JournalServer(layout, "az1")
    await server.host(CLUSTER)
    closing = asyncio.create_task(server.close())
    await asyncio.sleep(0)
    with pytest.raises(ReplicaFailedError):
        await server.host("z" * 26)
    await closing
