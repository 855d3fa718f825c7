"""Two agents on one host, in two zones, with a seed each, below one placement service."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from dsql.control.layout import Layout
from dsql.errors import FatalError
from placement import agent, server
from placement.agent_settings import AgentSettings
from placement.client import PlacementClient
from placement.pool_settings import PoolSettings

from .placement_host import Client, add_cluster, open_session, start_seed

ZONES = {"agent": "az1", "agent-2": "az2"}


class Fleet:
    """The roles, each of which can be ended and started again, and the clients' sessions."""

    def __init__(self, layout: Layout, root: Path) -> None:
        self.layout = layout
        self.cluster = add_cluster(layout, "c")
        self._root = root
        self._seeds: list[subprocess.Popen[str]] = []
        self._roles: dict[str, asyncio.Task[None]] = {}
        self._clients: list[Client] = []
        self.placement = PlacementClient(layout.socket("placement"), lambda number: number)

    async def start(self) -> None:
        self.start_placement()
        for number, (name, az) in enumerate(ZONES.items(), 1):
            seed = f"seed-{number}"
            self._seeds.append(start_seed(self._root, seed))
            pool = PoolSettings(warm=1, processes_per_cluster=1)
            settings = AgentSettings(name=name, seed=seed, az=az, pool=pool)
            serving = agent.serve(self.layout, settings, on_ready=lambda: None)
            self._roles[name] = asyncio.create_task(serving)
        await self.until(lambda agents: len(agents) == 2)

    def start_placement(self) -> None:
        self._roles["placement"] = asyncio.create_task(
            server.serve(self.layout, on_ready=lambda: None)
        )

    async def end(self, name: str) -> None:
        role = self._roles.pop(name)
        role.cancel()
        await asyncio.gather(role, return_exceptions=True)

    async def open(self, az: str) -> Client:
        client = await open_session(self.placement, self.cluster, az)
        self._clients.append(client)
        return client

    async def until(self, holds: Callable[[dict[str, Any]], bool]) -> None:
        """Return once it holds for the agents as placement knows them."""
        async with asyncio.timeout(30):
            while not holds(await self._agents()):
                await asyncio.sleep(0.01)

    async def _agents(self) -> dict[str, Any]:
        try:
            agents: Any = (await self.placement.status())["agents"]
        except FatalError:  # it is not there yet
            return {}
        return dict(agents)

    async def until_counted(self, **sessions: int) -> None:
        def holds(agents: dict[str, Any]) -> bool:
            known = {
                state["az"]: state["pools"].get(self.cluster, [0, 0]) for state in agents.values()
            }
            return {az: pool[1] for az, pool in known.items()} == sessions

        await self.until(holds)

    async def until_cancelled(self, client: Client) -> None:
        await self.placement.cancel(client.place.process_id, client.place.secret_key)
        async with asyncio.timeout(30):
            while await client.ask("me.cancelled") != "True":
                pass

    async def close(self) -> None:
        for client in self._clients:
            client.close()
        await self.placement.close()
        for name in list(self._roles):
            await self.end(name)
        for seed in self._seeds:
            seed.terminate()
            seed.wait(5)
            assert seed.stdout is not None
            seed.stdout.close()


@pytest.fixture
async def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Fleet]:
    monkeypatch.chdir(tmp_path)
    layout = Layout(Path())
    layout.socket("x").parent.mkdir()
    fleet = Fleet(layout, tmp_path)
    await fleet.start()
    yield fleet
    await fleet.close()


async def test_sessions_go_to_the_agent_of_their_relays_zone(fleet: Fleet) -> None:
    near = [await fleet.open("az1") for _ in range(3)]
    far = [await fleet.open("az2") for _ in range(2)]
    await fleet.until_counted(az1=3, az2=2)
    processes = [{await client.ask("os.getpid()") for client in zone} for zone in (near, far)]
    assert [len(zone) for zone in processes] == [1, 1]
    assert processes[0] != processes[1]


async def test_placement_finds_every_session_again_after_its_restart(fleet: Fleet) -> None:
    far, near = await fleet.open("az2"), await fleet.open("az1")
    await fleet.end("placement")
    fleet.start_placement()
    await fleet.until_counted(az1=1, az2=1)
    await fleet.until_cancelled(far)
    assert await near.ask("me.cancelled") == "False"
    await fleet.until_cancelled(near)
    await fleet.open("az1")
    await fleet.until_counted(az1=2, az2=1)


async def test_a_zone_without_an_agent_is_served_by_the_other(fleet: Fleet) -> None:
    await fleet.open("az1")
    await fleet.end("agent")
    client = await fleet.open("az1")
    assert await client.ask("1 + 1") == "2"
    await fleet.until_counted(az2=1)
