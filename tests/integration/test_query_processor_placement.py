from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from dsql.session.query_processor import RESIDENT_BYTES_MAX
from storage.reader_slot import open_wake

from .conftest import Host
from .placement_host import Client, add_cluster


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
    await wait_until_idle(host, cluster)
    second = await host.open(cluster)
    assert await second.ask("os.getpid()") == process_id


async def test_sessions_of_a_cluster_share_two_query_processors(host: Host) -> None:
    cluster = add_cluster(host.layout, "a")
    clients = [await host.open(cluster) for _ in range(10)]
    processes = Counter([await client.ask("os.getpid()") for client in clients])
    assert len(processes) == 2
    assert min(processes.values()) >= 4  # a run of background jobs counts while it lasts
    numbers = [await client.ask("session.process_id") for client in clients]
    assert numbers == [str(client.place.process_id) for client in clients]


async def test_a_query_processor_that_has_grown_large_ends_with_its_last_session(
    host: Host,
) -> None:
    cluster = add_cluster(host.layout, "a")
    (first, second), other = await share(host, cluster)
    process_id = await first.ask("os.getpid()")
    keep = f"setattr(os, 'kept', bytes(1) * {RESIDENT_BYTES_MAX})"
    assert await first.ask(keep) == "None"
    first.close()
    await wait_until(host, lambda agent: agent["pools"].get(cluster, [0])[0] == 1)
    assert await second.ask("os.getpid()") == process_id
    third = await host.open(cluster)
    assert await third.ask("os.getpid()") != process_id
    second.close()
    await wait_until_gone(int(process_id))
    assert await other.ask("1") == "1"


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


async def test_a_query_processor_whose_hub_stands_still_costs_only_the_session_that_holds_it_up(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("placement.watch.HANG_SECONDS", 2.0)
    cluster = add_cluster(host.layout, "a")
    (victim, held_up), neighbour = await share(host, cluster)
    hanging = int(await victim.ask("os.getpid()"))
    asking = asyncio.create_task(victim.ask("[None for _ in iter(lambda: time.sleep(1), 1)]"))
    with suppress(TimeoutError):
        await asking
    await wait_until_gone(hanging)
    assert await victim.ask("1") == ""
    assert await held_up.ask("os.getpid()") not in ("", str(hanging))
    assert await neighbour.ask("1") == "1"
    assert await (await host.open(cluster)).ask("2") == "2"


async def test_sessions_of_a_query_processor_that_was_stopped_go_on_in_another_one(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("placement.watch.HANG_SECONDS", 1.0)
    client = await host.open(add_cluster(host.layout, "a"))
    stopped = int(await client.ask("os.getpid()"))
    os.kill(stopped, signal.SIGSTOP)
    await wait_until_gone(stopped)
    assert await client.ask("os.getpid()") not in ("", str(stopped))


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
    await wait_until_idle(host, cluster)
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
    assert await client.ask("time.sleep(0.05) or me.cancelled") == "False"
    await host.placement.cancel(process_id, secret_key)
    await host.placement.acquire(cluster, "az1")
    assert await client.ask("time.sleep(0.05) or me.cancelled") == "True"


async def test_cancel_reaches_a_busy_query_processor_and_not_the_sessions_neighbour(
    host: Host,
) -> None:
    cluster = add_cluster(host.layout, "a")
    (client, neighbour), _ = await share(host, cluster)
    process_id = int(await client.ask("os.getpid()"))
    busy = asyncio.create_task(client.ask("all(not me.cancelled for _ in itertools.count())"))
    await wait_until_busy(process_id)
    await host.placement.cancel(client.place.process_id, client.place.secret_key)
    assert await busy == "False"
    assert await neighbour.ask("me.cancelled") == "False"


async def test_random_numbers_differ_between_query_processors(host: Host) -> None:
    cluster = add_cluster(host.layout, "a")
    clients = [await host.open(cluster) for _ in range(2)]
    assert len({await client.ask("os.getpid()") for client in clients}) == 2
    assert len({await client.ask("__import__('random').random()") for client in clients}) == 2


async def test_background_jobs_run_in_a_query_processor_of_the_cluster(host: Host) -> None:
    cluster = add_cluster(host.layout, "a")
    first = await host.open(cluster)
    await first.ask("tenant.line.want_jobs()")
    async with asyncio.timeout(5):
        while await first.ask("tenant.job_runs") == "0":
            await asyncio.sleep(0.01)
    assert await first.ask("tenant.assignment.cluster") == cluster


async def test_sessions_do_not_notice_the_death_of_their_seed(host: Host) -> None:
    cluster = add_cluster(host.layout, "a")
    client = await host.open(cluster)
    process_id = int(await client.ask("os.getpid()"))
    os.kill(host.seed_process_id, signal.SIGKILL)
    assert await client.ask("time.sleep(1) or 1") == "1"
    assert await client.ask("tenant.assignment.cluster") == cluster
    assert Path(f"/proc/{process_id}").exists()


async def share(host: Host, cluster: str) -> tuple[tuple[Client, Client], Client]:
    """Return two clients of one query processor, and another one's only one."""
    clients: dict[str, list[Client]] = {}
    for _ in range(3):
        client = await host.open(cluster)
        clients.setdefault(await client.ask("os.getpid()"), []).append(client)
    (other,), (first, second) = sorted(clients.values(), key=len)
    return (first, second), other


async def wait_until_gone(process_id: int) -> None:
    """Return once a process has ended."""
    deadline = time.monotonic() + 5
    while Path(f"/proc/{process_id}").exists():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def wait_until_busy(process_id: int) -> None:
    """Return once a process has computed for three ticks of the kernel's."""
    deadline = time.monotonic() + 5
    before = ticks(process_id)
    while ticks(process_id) < before + 3:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


def ticks(process_id: int) -> int:
    """Return how many it has computed for in its own code."""
    return int(Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[11])


async def wait_until_idle(host: Host, cluster: str) -> None:
    """Return once the placement service knows of no session of the cluster."""
    await wait_until(host, lambda agent: agent["pools"].get(cluster, [0, 1])[1] == 0)


async def wait_until(host: Host, holds: Callable[[dict[str, Any]], bool]) -> None:
    """Return once it holds for the agent as the placement service knows it."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        agents: Any = (await host.placement.status())["agents"]
        if any(holds(agent) for agent in agents.values()):
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"it never came to that: {agents}")
