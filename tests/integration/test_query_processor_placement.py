from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from pathlib import Path

import pytest

from dsql.session.query_processor import RESIDENT_BYTES_MAX
from placement.client import PlacementClient
from storage.reader_slot import open_wake

from .conftest import Host
from .placement_host import add_cluster


async def test_session_reaches_a_query_processor_of_its_cluster(host: Host) -> None:
    cluster = add_cluster(host.layout, "a")
    client = await host.open(cluster)
    assert await client.ask("tenant.assignment.cluster") == cluster
    assert await client.ask("session.process_id") == str(client.place.process_id)


async def test_next_session_of_a_cluster_reuses_the_idle_query_processor(host: Host) -> None:
    cluster = add_cluster(host.layout, "a")
    first = await host.open(cluster)
    process_id = await first.ask("os.getpid()")
    first.close()
    await wait_until_idle(host.placement, cluster)
    second = await host.open(cluster)
    assert await second.ask("os.getpid()") == process_id


async def test_a_query_processor_that_has_grown_large_ends_with_its_session(host: Host) -> None:
    cluster = add_cluster(host.layout, "a")
    first = await host.open(cluster)
    process_id = await first.ask("os.getpid()")
    assert await first.ask(f"len(bytes(1) * {RESIDENT_BYTES_MAX})") == str(RESIDENT_BYTES_MAX)
    first.close()
    await wait_until_gone(int(process_id))
    second = await host.open(cluster)
    assert await second.ask("os.getpid()") != process_id


async def test_clusters_never_share_a_query_processor(host: Host) -> None:
    first = await host.open(add_cluster(host.layout, "a"))
    second = await host.open(add_cluster(host.layout, "b"))
    assert await first.ask("os.getpid()") != await second.ask("os.getpid()")


async def test_killed_query_processor_costs_only_its_own_session(host: Host) -> None:
    cluster = add_cluster(host.layout, "a")
    victim = await host.open(cluster)
    neighbour = await host.open(cluster)
    os.kill(int(await victim.ask("os.getpid()")), signal.SIGKILL)
    assert await victim.ask("1") == ""
    assert await neighbour.ask("1") == "1"
    assert await (await host.open(cluster)).ask("2") == "2"


@pytest.mark.parametrize(
    ("end", "told"), [(signal.SIGABRT, b"c"), (signal.SIGBUS, b"c"), (signal.SIGKILL, b"")]
)
async def test_replicas_of_a_query_processor_that_crashed_are_told(
    host: Host, end: signal.Signals, told: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    cluster = add_cluster(host.layout, "a")
    victim = await host.open(cluster)
    wake = open_wake(host.layout.storage("az1", cluster))
    os.kill(int(await victim.ask("os.getpid()")), end)
    assert await victim.ask("1") == ""
    async with asyncio.timeout(5):
        while not any(record.msg == "query processor ended" for record in caplog.records):
            await asyncio.sleep(0.01)
    with open(wake, "rb", buffering=0) as fifo:
        assert (fifo.read(10) or b"") == told


async def test_session_survives_that_the_idle_query_processor_died_unseen(host: Host) -> None:
    cluster = add_cluster(host.layout, "a")
    first = await host.open(cluster)
    process_id = int(await first.ask("os.getpid()"))
    first.close()
    await wait_until_idle(host.placement, cluster)
    os.kill(process_id, signal.SIGKILL)
    second = await host.open(cluster)
    assert await second.ask("7") in (
        "7",
        "",
    )  # the kernel may take the packet before the process is gone
    assert await (await host.open(cluster)).ask("8") == "8"


async def test_cancel_interrupts_only_with_the_right_key(host: Host) -> None:
    cluster = add_cluster(host.layout, "a")
    client = await host.open(cluster)
    process_id, secret_key = client.place.process_id, client.place.secret_key
    await host.placement.cancel(process_id, secret_key ^ 1)
    await host.placement.acquire(cluster, "az1")  # a round trip, so the cancellation has arrived
    assert await client.ask("time.sleep(0.05) or tenant.cancelled") == "False"
    await host.placement.cancel(process_id, secret_key)
    await host.placement.acquire(cluster, "az1")
    assert await client.ask("time.sleep(0.05) or tenant.cancelled") == "True"


async def test_random_numbers_differ_between_query_processors(host: Host) -> None:
    cluster = add_cluster(host.layout, "a")
    clients = [await host.open(cluster) for _ in range(3)]
    numbers = {await client.ask("__import__('random').random()") for client in clients}
    assert len(numbers) == 3


async def test_background_jobs_run_in_a_query_processor_of_the_cluster(host: Host) -> None:
    cluster = add_cluster(host.layout, "a")
    first = await host.open(cluster)
    await first.ask("tenant.line.want_jobs()")
    await wait_until_idle(host.placement, cluster)
    second = await host.open(cluster)
    assert await second.ask("tenant.job_runs") == "1"
    assert await second.ask("tenant.assignment.cluster") == cluster


async def test_query_processor_ends_with_its_seed(host: Host) -> None:
    client = await host.open(add_cluster(host.layout, "a"))
    os.kill(host.seed_process_id, signal.SIGKILL)
    assert await client.ask("time.sleep(1) or 1") == ""


async def wait_until_gone(process_id: int) -> None:
    """Return once a process has ended."""
    deadline = time.monotonic() + 5
    while Path(f"/proc/{process_id}").exists():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def wait_until_idle(placement: PlacementClient, cluster: str) -> None:
    """Return once the placement service knows of an idle query processor of the cluster."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        agents = (await placement.status())["agents"]
        assert isinstance(agents, dict)
        if any(agent["pools"].get(cluster, [0])[0] for agent in agents.values()):
            return
    raise AssertionError(f"no query processor fell idle: {agents}")
