"""Clusters that nobody uses: nothing of them is open in any zone, until somebody comes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dsql.rpc.client import ask_status
from dsql.transaction.interface import Committed, Conflict

from .conftest import AZS, CLUSTER, Fixture, running

ROLES = ("adjudicator", "journal")


@pytest.fixture(autouse=True)
def impatience(monkeypatch):
    monkeypatch.setattr("adjudicator.server.REST_SECONDS", 0.1)
    for role in ROLES:
        monkeypatch.setattr(f"{role}.server._LOOK_SECONDS", 0.05)


@contextlib.asynccontextmanager
async def client_of(cluster: Fixture) -> AsyncIterator:
    client = await asyncio.to_thread(cluster.client)
    try:
        yield client
    finally:
        client.close()


async def told(cluster: Fixture, az: str, role: str) -> dict[str, object]:
    """What a role of a zone says of the cluster."""
    status = await asyncio.to_thread(ask_status, cluster.layout.socket(f"{az}.{role}"))
    prefix = f"{CLUSTER}."
    return {k.removeprefix(prefix): v for k, v in status.values.items() if k.startswith(prefix)}


async def who_has_it(cluster: Fixture) -> set[tuple[str, str]]:
    return {(az, role) for az in AZS for role in ROLES if await told(cluster, az, role)}


async def at_rest(cluster: Fixture, seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while await who_has_it(cluster):
            await asyncio.sleep(0.02)


async def led_by(cluster: Fixture, az: str, seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while (await told(cluster, az, "adjudicator")).get("leader") != az:
            await asyncio.sleep(0.02)


async def test_a_start_opens_no_cluster(cluster):
    await asyncio.sleep(0.2)
    assert await who_has_it(cluster) == set()


async def test_a_cluster_is_left_by_every_zone_once_nobody_is_connected(cluster):
    async with client_of(cluster) as client:
        await cluster.commit(client, cluster.write_set(0, b"a"))
        await asyncio.sleep(0.5)
        assert {az for az, _ in await who_has_it(cluster)} == set(AZS), "somebody was connected"
    await at_rest(cluster)


async def test_who_connects_wakes_it_and_meets_what_was_committed_before(cluster):
    for number in range(3):
        async with client_of(cluster) as client:
            old = cluster.latest()
            write_set = cluster.write_set(old, b"%d" % number)
            assert isinstance(await cluster.commit(client, write_set), Committed)
        await at_rest(cluster)
        async with client_of(cluster) as client:
            again = cluster.write_set(old, b"%d" % number)
            assert isinstance(await cluster.commit(client, again), Conflict)
        await at_rest(cluster)


async def test_any_zone_wakes_it_for_all(cluster):
    _, line = await asyncio.to_thread(cluster.connect, "az3")
    with line:
        await led_by(cluster, "az3")
        assert {az for az, _ in await who_has_it(cluster)} == set(AZS)
    await at_rest(cluster)


async def test_who_is_connected_to_another_zone_than_the_leader_goes_on_to_be_served(cluster):
    async with client_of(cluster) as client:
        await cluster.commit(client, cluster.write_set(0, b"a"))
        _, line = await asyncio.to_thread(cluster.connect, "az2")
    with line:
        await led_by(cluster, "az2")
        async with client_of(cluster) as client:
            outcome = await cluster.commit(client, cluster.write_set(cluster.latest(), b"a"))
            assert isinstance(outcome, Committed)


async def test_a_zone_that_starts_takes_its_seat_in_what_is_awake_only(cluster):
    async with client_of(cluster) as client:
        await cluster.commit(client, cluster.write_set(0, b"a"))
        await cluster.azs[2].stop()
        await cluster.azs[2].start()
        async with asyncio.timeout(10):
            while (await told(cluster, "az3", "adjudicator")).get("leader") != "az1":
                await asyncio.sleep(0.02)
    await at_rest(cluster)
    await cluster.azs[2].stop()
    await cluster.azs[2].start()
    await asyncio.sleep(0.3)
    assert await who_has_it(cluster) == set()


async def test_a_leader_that_dies_unused_leaves_nothing_awake(cluster):
    async with client_of(cluster) as client:
        await cluster.commit(client, cluster.write_set(0, b"a"))
    await cluster.azs[0].stop()
    async with asyncio.timeout(10):
        while any([await told(cluster, az, role) for az in AZS[1:] for role in ROLES]):
            await asyncio.sleep(0.02)


async def test_it_does_not_rest_while_commits_cannot_reach_a_majority(cluster):
    """What is under way is not known to be lost, and nobody else could say what became of it."""
    client = await asyncio.to_thread(cluster.client)
    await cluster.commit(client, cluster.write_set(0, b"a"))
    for az in cluster.azs[1:]:
        await az.stop()
    lost = cluster.write_set(cluster.latest(), b"b")
    waiting = asyncio.create_task(cluster.commit(client, lost))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    for az in cluster.azs[1:]:
        await az.start()
    assert isinstance(await waiting, Committed)
    client.close()
    await at_rest(cluster)


async def test_its_storage_is_used_while_it_is_awake(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    used: list[tuple[str, str]] = []

    class Storage:
        def use(self, cluster: str) -> None:
            used.append(("use", cluster))

        def leave(self, cluster: str) -> None:
            used.append(("leave", cluster))

    async with running(Path(), storage=Storage()) as fixture:
        async with client_of(fixture) as client:
            await fixture.commit(client, fixture.write_set(0, b"a"))
        await at_rest(fixture)
    assert sorted(used) == [("leave", CLUSTER)] * 3 + [("use", CLUSTER)] * 3


async def test_what_was_awake_when_all_zones_ended_is_led_again_with_nobody_asking(cluster):
    """Who reads there waits for what was committed last, and needs no adjudicator for it."""
    async with client_of(cluster) as client:
        await cluster.commit(client, cluster.write_set(0, b"a"))
        for az in cluster.azs:
            await az.stop()
    led = cluster.latest()
    for az in cluster.azs:
        await az.start()
    await cluster.eventually(lambda: cluster.latest() > led)
    await at_rest(cluster)
