"""Commits through real sockets, files and three replicas."""

from __future__ import annotations

import asyncio

from dsql.transaction.interface import Committed, Conflict


async def test_commit_is_published_and_reaches_every_replica(cluster):
    client = await asyncio.to_thread(cluster.client)
    write_set = cluster.write_set(0, b"a")
    outcome = await cluster.commit(client, write_set)
    assert isinstance(outcome, Committed)
    assert cluster.latest() == outcome.timestamp
    for az in cluster.azs:
        records = await cluster.data_records(az.name, 1)
        assert [(record.sequence, record.timestamp) for record in records] == [
            (2, outcome.timestamp)
        ]
    client.close()


async def test_second_writer_of_a_key_conflicts(cluster):
    client = await asyncio.to_thread(cluster.client)
    start = cluster.latest()
    assert isinstance(await cluster.commit(client, cluster.write_set(start, b"a")), Committed)
    assert await cluster.commit(client, cluster.write_set(start, b"a")) == Conflict(schema=False)
    client.close()


async def test_commits_go_on_with_one_replica_down_and_it_catches_up(cluster):
    client = await asyncio.to_thread(cluster.client)
    await cluster.commit(client, cluster.write_set(0, b"a"))
    await cluster.azs[2].stop()
    for number in range(5):
        write_set = cluster.write_set(cluster.latest(), b"%d" % number)
        assert isinstance(await cluster.commit(client, write_set), Committed)
    await cluster.azs[2].start()
    assert len(await cluster.data_records("az3", 6)) == 6
    client.close()


async def test_restarted_leader_refuses_what_began_before_its_floor(cluster):
    client = await asyncio.to_thread(cluster.client)
    await cluster.commit(client, cluster.write_set(0, b"a"))
    old = cluster.latest()
    await cluster.commit(client, cluster.write_set(old, b"b"))
    client.close()
    await cluster.azs[0].stop()
    await cluster.azs[0].start()
    client = await asyncio.to_thread(cluster.client)
    assert await cluster.commit(client, cluster.write_set(old - 1, b"c")) == Conflict(schema=False)
    outcome = await cluster.commit(client, cluster.write_set(cluster.latest(), b"c"))
    assert isinstance(outcome, Committed)
    assert len(await cluster.data_records("az2", 3)) == 3
    client.close()
