from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from dsql.errors import FatalError
from dsql.rate_limit import RateLimit
from dsql.rpc.packets import PacketChannel, connect
from placement.client import PlacementClient
from placement.messages import Cancel, LoadReport, PoolLoad, agent_number, decode, encode
from placement.server import PlacementServer

BURST = 100


@pytest.fixture
async def server(tmp_path: Path) -> Iterator[PlacementServer]:
    server = PlacementServer(tmp_path / "placement", RateLimit(0.001, BURST))
    server._fleet.register(LoadReport("a", "az1", "a.sock", 1, 0, 2, 10, {"c": PoolLoad(1, 0)}))
    yield server
    server.close()


@pytest.fixture
async def client(tmp_path: Path, server: PlacementServer) -> PlacementClient:
    client = PlacementClient(tmp_path / "placement", lambda process_id: -process_id)
    yield client
    await client.close()


async def test_sessions_that_come_at_once_are_placed_by_one_question(server, client, monkeypatch):
    asked = []
    acquire = server.acquire
    monkeypatch.setattr(
        server,
        "acquire",
        lambda request, **how: (asked.append(request.count), acquire(request, **how))[1],
    )
    places = await asyncio.gather(*(client.acquire("c", "az1") for _ in range(50)))
    assert len({place.process_id for place in places}) == 50
    assert {agent_number(place.process_id) for place in places} == {1}
    assert all(place.secret_key == -place.process_id for place in places)
    assert asked == [50]


async def test_a_rate_holds_for_the_sessions_of_all_relays_together(server, client, tmp_path):
    other = PlacementClient(tmp_path / "placement", lambda process_id: process_id)
    attempts = [relay.acquire("d", "az1") for relay in (client, other) for _ in range(80)]
    answers = await asyncio.gather(*attempts, return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, FatalError)]
    assert {(error.sqlstate, error.message) for error in refused} == {
        ("53400", "Unable to accept connection, rate exceeded.")
    }
    assert len(answers) - len(refused) == BURST
    assert len({error.__traceback__ for error in refused}) == len(refused)
    await other.close()


async def test_a_session_that_gave_up_takes_no_place(server, client):
    first, second = (asyncio.ensure_future(client.acquire("c", "az1")) for _ in range(2))
    first.cancel()
    assert agent_number((await second).process_id) == 1


async def test_a_service_without_an_agent_is_asked_again(server, client, monkeypatch):
    report = server._fleet._agents[1].report
    server._fleet.forget(1)
    asked = asyncio.Event()
    acquire = server.acquire
    monkeypatch.setattr(
        server, "acquire", lambda request, **how: (asked.set(), acquire(request, **how))[1]
    )
    waiting = asyncio.create_task(client.acquire("c", "az1"))
    await asked.wait()
    server._fleet.register(report)
    assert agent_number((await waiting).process_id) == 1


async def test_a_service_that_stays_away_is_a_refusal(tmp_path, monkeypatch):
    monkeypatch.setattr("placement.client.PATIENCE_SECONDS", 0.1)
    client = PlacementClient(tmp_path / "nobody", lambda process_id: process_id)
    with pytest.raises(FatalError, match="not accepting connections"):
        await client.acquire("c", "az1")


class Agent:
    """An agent as placement sees it: reports, and cancellations that reach it."""

    def __init__(self, path: Path, name: str, az: str = "az1", number: int = 0) -> None:
        self.cancelled: asyncio.Queue[int] = asyncio.Queue()
        self.report = LoadReport(name, az, f"{name}.sock", 1, 0, 2, 10, {}, number=number)
        self.channel = PacketChannel(connect(path), self._received, lambda: None)
        self.channel.send(encode(self.report))

    def _received(self, packet: bytes, _: list[int]) -> None:
        message = decode(packet)
        assert isinstance(message, Cancel)
        self.cancelled.put_nowait(message.process_id)


async def until_registered(server: PlacementServer, count: int) -> None:
    while len(server._agents) < count:
        await asyncio.sleep(0)


async def test_agents_keep_their_numbers_when_placement_is_started_again(tmp_path: Path) -> None:
    path = tmp_path / "placement"
    server = PlacementServer(path, RateLimit(0, 1))
    agents = [Agent(path, name) for name in ("one", "two")]
    await until_registered(server, 2)
    placement = PlacementClient(path, lambda _: 7)
    addresses = {}
    while len(addresses) < 2:
        place = await placement.acquire("c", "az1")
        addresses[place.agent] = place.process_id
    server.close()
    server = PlacementServer(path, RateLimit(0, 1))
    again = [
        Agent(path, name, number=agent_number(addresses[f"{name}.sock"])) for name in ("two", "one")
    ]
    await until_registered(server, 2)
    for agent in again:
        await placement.cancel(addresses[agent.report.address], 7)
        assert await agent.cancelled.get() == addresses[agent.report.address]
    await placement.close()
    server.close()
    for agent in agents + again:
        agent.channel.close()


async def test_a_dead_agents_zone_is_served_by_the_others(tmp_path: Path) -> None:
    path = tmp_path / "placement"
    server = PlacementServer(path, RateLimit(0, 1))
    agents = [Agent(path, "near", "az1"), Agent(path, "far", "az2")]
    await until_registered(server, 2)
    placement = PlacementClient(path, lambda _: 7)
    places = [await placement.acquire("c", "az1") for _ in range(20)]
    assert {place.agent for place in places} == {"near.sock"}
    agents[0].channel.close()
    while len(server._agents) > 1:
        await asyncio.sleep(0)
    assert (await placement.acquire("c", "az1")).agent == "far.sock"
    await placement.close()
    server.close()
    agents[1].channel.close()
