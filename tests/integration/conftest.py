from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from running_cluster import RunningCluster

from dsql.control.layout import Layout
from placement import agent, server
from placement.agent_settings import AgentSettings
from placement.client import AgentClient, PlacementClient
from placement.pool_settings import PoolSettings

from .placement_host import Client, open_session, start_seed

SECRET_MASK = 0x5A5A5A5A


class Host:
    """A placement service and an agent in this loop, a seed beside it."""

    def __init__(self, layout: Layout, placement: PlacementClient, seed_process_id: int) -> None:
        self.layout = layout
        self.placement = placement
        self.seed_process_id = seed_process_id
        self._clients: list[Client] = []

    async def open(self, cluster: str) -> Client:
        """Open a session, closed at the test's end at the latest.

        There is a warm query processor for it, if its cluster may have another one.
        """
        await self._warmed_up()
        client = await open_session(self.placement, cluster)
        self._clients.append(client)
        return client

    async def _warmed_up(self) -> None:
        agent = AgentClient(self.layout.socket("agent"))
        async with asyncio.timeout(10):
            while (await agent.status())["warm"] == 0:
                await asyncio.sleep(0.01)
        await agent.close()

    async def close(self) -> None:
        for client in self._clients:
            client.close()
        await self.placement.close()


@pytest.fixture
async def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Host]:
    monkeypatch.chdir(tmp_path)
    layout = Layout(Path())
    layout.socket("x").parent.mkdir()
    seed = start_seed(tmp_path)
    ready = asyncio.Event()
    settings = AgentSettings(az="az1", pool=PoolSettings(warm=2, idle_seconds=30))
    roles = [
        asyncio.create_task(server.serve(layout, on_ready=lambda: None)),
        asyncio.create_task(agent.serve(layout, settings, on_ready=ready.set)),
    ]
    await asyncio.wait_for(ready.wait(), 5)
    placement = PlacementClient(
        layout.socket("placement"), lambda process_id: process_id ^ SECRET_MASK
    )
    host = Host(layout, placement, seed.pid)
    yield host
    await host.close()
    for role in roles:
        role.cancel()
    await asyncio.gather(*roles, return_exceptions=True)
    seed.terminate()
    seed.wait(5)
    assert seed.stdout is not None
    seed.stdout.close()


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    """One cluster for all tests that do it no harm; each test uses table names of its own."""
    running = RunningCluster(tmp_path_factory.mktemp("shared")).start()
    yield running
    running.stop()


@pytest.fixture
def own_cluster(tmp_path: Path) -> Iterator[RunningCluster]:
    """A cluster, running, that a test may do anything to."""
    running = RunningCluster(tmp_path).start()
    yield running
    running.stop()
