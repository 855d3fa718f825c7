from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dsql.errors import FatalError
from placement.client import RESERVED_MAX, PlacementClient
from placement.fleet import agent_number
from placement.messages import LoadReport, PoolLoad
from placement.server import PlacementServer


@pytest.fixture
async def server(tmp_path: Path) -> Iterator[PlacementServer]:
    server = PlacementServer(tmp_path / "placement")
    server._fleet.register(LoadReport("a", "az1", "a.sock", 1, 10, {"c": PoolLoad(1, 0)}))
    yield server
    server.close()


@pytest.fixture
async def client(tmp_path: Path, server: PlacementServer) -> PlacementClient:
    client = PlacementClient(tmp_path / "placement", lambda process_id: -process_id)
    yield client
    await client.close()


async def test_sessions_that_come_quickly_are_placed_by_few_questions(server, client, monkeypatch):
    asked = []
    acquire = server.acquire
    monkeypatch.setattr(
        server, "acquire", lambda request: (asked.append(request.count), acquire(request))[1]
    )
    places = [await client.acquire("c", "az1") for _ in range(50)]
    assert len({place.process_id for place in places}) == 50
    assert {agent_number(place.process_id) for place in places} == {1}
    assert all(place.secret_key == -place.process_id for place in places)
    assert asked[:5] == [1, 2, 4, 8, 16]
    assert max(asked) == RESERVED_MAX


async def test_places_of_a_service_that_went_away_are_not_used(server, client):
    for _ in range(2):
        await client.acquire("c", "az1")
    await client.close()
    server._fleet.forget(1)
    with pytest.raises(FatalError):
        await client.acquire("c", "az1")


async def test_a_place_that_was_refused_is_asked_for_anew(server, client, monkeypatch):
    for _ in range(2):
        await client.acquire("c", "az1")
    client.forget("c", "az1")
    server._fleet.forget(1)
    with pytest.raises(FatalError):
        await client.acquire("c", "az1")
